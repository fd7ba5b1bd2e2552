import Link from 'next/link'
import { Card } from '../../components/account-form.tsx'

export const metadata = { title: 'No access' }

/** Where somebody ends whom the identity provider knows and Sealtrail gives no role. */
export default function NoAccessPage() {
  return (
    <Card
      title="You have no access"
      intro="Your identity provider knows you, but gives you no role in Sealtrail, or your account here is disabled."
    >
      <p className="mb-5 text-sm">
        Ask whoever administers Sealtrail or your identity provider for the role viewer, analyst,
        auditor or admin. Then sign in again.
      </p>
      <Link href="/login" className="button w-full justify-center py-2">
        Back to sign-in
      </Link>
    </Card>
  )
}
