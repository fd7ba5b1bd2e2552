import Link from 'next/link'

export default function NotFoundPage() {
  return (
    <main id="main" className="flex min-h-screen flex-col items-center justify-center gap-3">
      <h1 className="text-lg font-semibold">There is no such page</h1>
      <Link href="/explore" className="text-accent underline">
        Go to Explore
      </Link>
    </main>
  )
}
