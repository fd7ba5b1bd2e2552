'use client'

import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Activity, KeyRound, LogOut, Moon, ShieldCheck, Sun, TriangleAlert } from 'lucide-react'
import Link from 'next/link'
import { usePathname, useRouter } from 'next/navigation'
import { type ReactNode, useEffect, useState } from 'react'
import { z } from 'zod'
import { Me } from '../../schemas/api/session.ts'
import { ApiError, request } from '../api/request.ts'
import { Failure, Loading } from './states.tsx'

const places = [
  { href: '/explore', label: 'Explore', key: 'e', icon: Activity },
  { href: '/findings', label: 'Findings', key: 'f', icon: TriangleAlert },
  { href: '/integrity', label: 'Integrity', key: 'i', icon: ShieldCheck },
  { href: '/sources', label: 'Sources', key: 's', icon: KeyRound },
] as const

/** Frame of every screen for signed-in people: navigation, theme, sign-out, keys. */
export function Shell({ children }: { children: ReactNode }) {
  const router = useRouter()
  const path = usePathname()
  const client = useQueryClient()
  const me = useQuery({
    queryKey: ['me'],
    queryFn: ({ signal }) => request(Me, '/api/v1/me', { signal }),
    retry: false,
  })
  const signedOut = me.error instanceof ApiError && me.error.problem.status === 401
  useEffect(() => {
    if (signedOut)
      router.replace(`/login?next=${encodeURIComponent(`${path}${window.location.search}`)}`)
  }, [signedOut, router, path])
  useGoKeys((href) => router.push(href))
  const signOut = async () => {
    await request(z.object({}), '/api/v1/logout', { method: 'POST', body: {} })
    client.clear()
    router.replace('/login')
  }
  return (
    <div className="flex h-screen">
      <nav
        aria-label="Screens"
        className="flex w-44 shrink-0 flex-col border-r border-line bg-panel p-3"
      >
        <Link
          href="/explore"
          className="mb-5 flex items-center gap-2 px-2 text-base font-bold tracking-tight"
        >
          <ShieldCheck className="size-5 text-accent" aria-hidden /> Sealtrail
        </Link>
        <ul className="space-y-1">
          {places.map(({ href, label, key, icon: Icon }) => {
            const active = path.startsWith(href)
            return (
              <li key={href}>
                <Link
                  href={href}
                  aria-current={active ? 'page' : undefined}
                  title={`${label} (g then ${key})`}
                  className={`flex items-center gap-2.5 rounded-md px-2 py-1.5 font-medium ${active ? 'bg-accent-soft text-accent' : 'text-text hover:bg-raised'}`}
                >
                  <Icon className="size-4" aria-hidden /> {label}
                </Link>
              </li>
            )
          })}
        </ul>
        <div className="mt-auto space-y-1 border-t border-line pt-3 text-sm">
          <p className="truncate px-2 text-muted" title={me.data?.user.name}>
            {me.data === undefined ? '…' : `${me.data.user.name} · ${me.data.user.role}`}
          </p>
          <ThemeButton />
          <button
            type="button"
            onClick={signOut}
            className="flex w-full items-center gap-2.5 rounded-md px-2 py-1.5 text-left hover:bg-raised"
          >
            <LogOut className="size-4" aria-hidden /> Sign out
          </button>
        </div>
      </nav>
      <main id="main" className="min-w-0 flex-1 overflow-auto" tabIndex={-1}>
        {me.isPending || signedOut ? (
          <Loading />
        ) : me.error !== null ? (
          <Failure error={me.error} onRetry={() => me.refetch()} />
        ) : (
          children
        )}
      </main>
    </div>
  )
}

function ThemeButton() {
  const [dark, setDark] = useState(false)
  useEffect(() => setDark(document.documentElement.dataset.theme === 'dark'), [])
  const toggle = () => {
    const theme = dark ? 'light' : 'dark'
    document.documentElement.dataset.theme = theme
    localStorage.setItem('theme', theme)
    setDark(!dark)
  }
  const Icon = dark ? Sun : Moon
  return (
    <button
      type="button"
      onClick={toggle}
      className="flex w-full items-center gap-2.5 rounded-md px-2 py-1.5 text-left hover:bg-raised"
    >
      <Icon className="size-4" aria-hidden /> {dark ? 'Light' : 'Dark'} theme
    </button>
  )
}

/** `g` then a letter goes to a screen. Never while somebody types. */
function useGoKeys(go: (href: string) => void): void {
  useEffect(() => {
    let waiting = false
    const onKey = (event: KeyboardEvent) => {
      const target = event.target
      const typing =
        target instanceof HTMLElement &&
        (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return
      if (waiting) {
        const place = places.find(({ key }) => key === event.key)
        waiting = false
        if (place !== undefined) go(place.href)
      } else if (event.key === 'g') {
        waiting = true
        setTimeout(() => {
          waiting = false
        }, 1200)
      }
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [go])
}
