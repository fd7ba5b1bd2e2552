'use client'

import { useQuery, useQueryClient } from '@tanstack/react-query'
import {
  Activity,
  Eraser,
  KeyRound,
  LogOut,
  type LucideIcon,
  Monitor,
  Moon,
  ShieldCheck,
  Sun,
  TriangleAlert,
  UserRound,
  Users,
} from 'lucide-react'
import Link from 'next/link'
import { usePathname, useRouter } from 'next/navigation'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { IntegrityReply } from '../../schemas/api/integrity.ts'
import { LogoutReply, Me, type Role } from '../../schemas/api/session.ts'
import { ApiError, request } from '../api/request.ts'
import { KeyHelp } from './key-help.tsx'
import { Failure, Loading } from './states.tsx'
import { isShortcut } from './typing-target.ts'

interface Place {
  readonly href: string
  readonly label: string
  readonly key: string
  readonly icon: LucideIcon
  /** Who finds anything there; everybody where it is not said. The server decides. */
  readonly roles?: readonly Role[]
}

const places: readonly Place[] = [
  { href: '/explore', label: 'Explore', key: 'e', icon: Activity },
  { href: '/findings', label: 'Findings', key: 'f', icon: TriangleAlert },
  { href: '/integrity', label: 'Integrity', key: 'i', icon: ShieldCheck },
  { href: '/sources', label: 'Sources', key: 's', icon: KeyRound },
  { href: '/users', label: 'Users', key: 'u', icon: Users, roles: ['auditor', 'admin'] },
  { href: '/erasures', label: 'Erasures', key: 'r', icon: Eraser, roles: ['auditor', 'admin'] },
  { href: '/account', label: 'Account', key: 'a', icon: UserRound },
]

const navItem =
  'flex min-h-8 w-full items-center gap-2.5 rounded-md px-2.5 font-medium max-xl:justify-center'

/** Frame of every screen for signed-in people: navigation, state of the log, theme, sign-out, keys. */
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
  const role = me.data?.user.role
  const shown = places.filter(({ roles }) => roles === undefined || includes(roles, role))
  useGoKeys(shown, (href) => router.push(href))
  const enrolling = me.data?.mustEnrol === true && path !== '/account'
  useEffect(() => {
    if (enrolling) router.replace('/account')
  }, [enrolling, router])
  const signOut = async () => {
    const { endSessionUrl } = await request(LogoutReply, '/api/v1/logout', {
      method: 'POST',
      body: {},
    })
    client.clear()
    if (endSessionUrl === null) router.replace('/login')
    else window.location.assign(endSessionUrl)
  }
  return (
    <div className="flex h-screen">
      <nav
        aria-label="Screens"
        className="flex w-14 shrink-0 flex-col border-r border-line bg-panel p-2 xl:w-40 xl:p-2.5"
      >
        <Link
          href="/explore"
          aria-label="Sealtrail"
          className="mb-4 flex min-h-8 items-center gap-2 px-2 text-[15px] font-bold tracking-tight max-xl:justify-center"
        >
          <ShieldCheck className="size-5 shrink-0 text-accent" aria-hidden />{' '}
          <span className="max-xl:hidden">Sealtrail</span>
        </Link>
        <ul className="space-y-0.5">
          {shown.map(({ href, label, key, icon: Icon }) => {
            const active = path.startsWith(href)
            return (
              <li key={href}>
                <Link
                  href={href}
                  aria-current={active ? 'page' : undefined}
                  aria-label={label}
                  title={`${label} (g then ${key})`}
                  className={`${navItem} ${active ? 'bg-accent-soft text-accent' : 'text-text hover:bg-raised'}`}
                >
                  <Icon className="size-4 shrink-0" aria-hidden />{' '}
                  <span className="max-xl:hidden">{label}</span>
                </Link>
              </li>
            )
          })}
        </ul>
        <div className="mt-auto space-y-0.5 border-t border-line pt-3 text-[13px]">
          {me.data !== undefined && (
            <p
              className="truncate px-2.5 pb-1 text-muted max-xl:hidden"
              title={`${me.data.user.name}, ${me.data.user.role}`}
            >
              {me.data.user.name} · {me.data.user.role}
            </p>
          )}
          <ThemeButton />
          <button
            type="button"
            onClick={signOut}
            aria-label="Sign out"
            title="Sign out"
            className={`${navItem} text-left hover:bg-raised`}
          >
            <LogOut className="size-4 shrink-0" aria-hidden />{' '}
            <span className="max-xl:hidden">Sign out</span>
          </button>
        </div>
      </nav>
      <div className="flex min-w-0 flex-1 flex-col">
        {me.data !== undefined && !me.data.mustEnrol && <HealthBanner />}
        <main id="main" className="min-h-0 min-w-0 flex-1 overflow-auto outline-none" tabIndex={-1}>
          {me.isPending || signedOut || enrolling ? (
            <Loading />
          ) : me.error !== null ? (
            <Failure error={me.error} onRetry={() => me.refetch()} />
          ) : (
            children
          )}
        </main>
      </div>
      <KeyHelp />
    </div>
  )
}

/** Says so when what is on the screen may be old, incomplete or contradicted by the ledger. */
function HealthBanner() {
  const integrity = useQuery({
    queryKey: ['integrity'],
    queryFn: ({ signal }) => request(IntegrityReply, '/api/v1/integrity', { signal }),
    refetchInterval: 10_000,
  })
  const different = integrity.data?.logs.find(({ projection }) => projection.state === 'different')
  if (
    integrity.error !== null &&
    !(integrity.error instanceof ApiError && integrity.error.problem.status < 500)
  ) {
    return (
      <Banner tone="bad">
        Sealtrail does not answer. What is shown may be old; this page keeps trying.
      </Banner>
    )
  }
  if (different !== undefined) {
    return (
      <Banner tone="bad">
        The searchable copy of log {different.logId} differs from the ledger. The ledger counts;{' '}
        <Link href="/integrity" className="font-semibold underline">
          see Integrity
        </Link>
        .
      </Banner>
    )
  }
  if (integrity.data?.columnar === 'restarting') {
    return (
      <Banner tone="warn">Search is restarting. Records go on being kept; nothing is lost.</Banner>
    )
  }
  return null
}

function Banner({ tone, children }: { tone: 'bad' | 'warn'; children: ReactNode }) {
  return (
    <p
      role="status"
      className={`shrink-0 border-b px-4 py-1.5 text-[13px] ${tone === 'bad' ? 'border-bad bg-bad-soft text-bad' : 'border-warn bg-warn-soft text-warn'}`}
    >
      {children}
    </p>
  )
}

const themes = ['system', 'light', 'dark'] as const
type Theme = (typeof themes)[number]
const themeIcons = { system: Monitor, light: Sun, dark: Moon } as const

/** Follows the system until a person chooses otherwise. */
function ThemeButton() {
  const [theme, setTheme] = useState<Theme>('system')
  useEffect(() => {
    const stored = localStorage.getItem('theme')
    setTheme(themes.find((each) => each === stored) ?? 'system')
  }, [])
  useEffect(() => {
    const system = window.matchMedia('(prefers-color-scheme: dark)')
    const apply = () => {
      const dark = theme === 'dark' || (theme === 'system' && system.matches)
      document.documentElement.dataset.theme = dark ? 'dark' : 'light'
    }
    apply()
    system.addEventListener('change', apply)
    return () => system.removeEventListener('change', apply)
  }, [theme])
  const choose = () => {
    const next = themes[(themes.indexOf(theme) + 1) % themes.length] ?? 'system'
    localStorage.setItem('theme', next)
    setTheme(next)
  }
  const Icon = themeIcons[theme]
  return (
    <button
      type="button"
      onClick={choose}
      aria-label={`${theme} theme, change it`}
      title={`Theme: ${theme}`}
      className={`${navItem} text-left hover:bg-raised`}
    >
      <Icon className="size-4 shrink-0" aria-hidden />{' '}
      <span className="capitalize max-xl:hidden">{theme}</span>
    </button>
  )
}

function includes(roles: readonly Role[], role: Role | undefined): boolean {
  return role !== undefined && roles.includes(role)
}

/** `g` then a letter goes to a screen. Never while somebody types. */
function useGoKeys(places: readonly Place[], go: (href: string) => void): void {
  // Outlives a render between the two keys, as when the URL changes behind a drawer that was just closed.
  const waitingUntilMs = useRef(0)
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (!isShortcut(event)) return
      const place =
        event.timeStamp < waitingUntilMs.current
          ? places.find(({ key }) => key === event.key)
          : undefined
      waitingUntilMs.current = event.key === 'g' ? event.timeStamp + 1500 : 0
      if (place === undefined) return
      event.preventDefault()
      go(place.href)
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [places, go])
}
