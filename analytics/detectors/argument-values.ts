import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { cutText, ownCopy } from './cut-text.ts'

/** One leaf of the arguments. */
export interface ArgumentValue {
  /** JSON path with `[]` for any index, e.g. `to[].address`. */
  readonly path: string
  readonly value: string
}

const maxValues = 48
const maxDepth = 8

/** Flattens arguments to their scalar leaves, bounded. */
export function argumentValues(args: JsonValue | undefined): ArgumentValue[] {
  const found: ArgumentValue[] = []
  if (args !== undefined) walk(args, '', 0, found)
  return found
}

function walk(value: JsonValue, path: string, depth: number, found: ArgumentValue[]): void {
  if (found.length >= maxValues || depth > maxDepth) return
  if (typeof value === 'string') {
    for (const each of addressesIn(value) ?? [value]) {
      if (found.length < maxValues) found.push({ path, value: each })
    }
  } else if (typeof value === 'number' || typeof value === 'boolean')
    found.push({ path, value: String(value) })
  else if (value !== null && typeof value === 'object') {
    if (isArray(value))
      for (const item of value.slice(0, maxValues)) walk(item, `${path}[]`, depth + 1, found)
    else {
      for (const key of Object.keys(value).sort().slice(0, maxValues)) {
        const name = cutText(key, 64)
        walk(value[key] ?? null, path === '' ? name : `${path}.${name}`, depth + 1, found)
      }
    }
  }
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}

/** What of a value carries its habit: the domain of an address, the host of a URL, the folder of a path. */
export interface ValueClass {
  readonly kind: 'mail domain' | 'host' | 'folder' | 'value'
  /** What is counted. */
  readonly key: string
}

const addressPattern =
  /^(?:mailto:)?([^\s@<>"]{1,128}@([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}))$/i
/** The authority ends at the first `/`, `?`, `#` or `\`: what stands before an `@` beyond it is no user (WHATWG URL). */
const urlPattern =
  /^[a-z][a-z0-9+.-]{1,20}:\/\/(?:[^/?#\\\s]{0,256}@)?(\[[0-9a-f:.]+\]|[^/:?#\\@\s]{1,253})/i
const hostPattern = /^(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}\.?)$/i
const pathPattern = /^(?:\/|~\/|\.{1,2}\/|[a-z]:\\)[^\n]{0,1024}$/i

/** Classifies a value. Long texts count as themselves, shortened: their novelty silences them. */
export function classifyValue(value: string): ValueClass {
  const text = value.trim()
  if (text.length <= 512) {
    const domain = addressPattern.exec(text)?.[2]
    if (domain !== undefined) return { kind: 'mail domain', key: siteOf(domain) }
    const host = urlPattern.exec(text)?.[1] ?? (hostPattern.test(text) ? text : undefined)
    if (host !== undefined) return { kind: 'host', key: siteOf(host) }
    if (pathPattern.test(text)) return { kind: 'folder', key: folderOf(text) }
  }
  return { kind: 'value', key: value.length > 200 ? ownCopy(cutText(text, 200)) : text }
}

const maxListChars = 4096

/**
 * The addresses that a text consists of, bare: `Ann <a@b.example>, "Doe, John" <j@b.example>`. Undefined when anything
 * else stands in it. Each recipient is judged, whoever stands beside him.
 */
function addressesIn(text: string): string[] | undefined {
  if (text.length > maxListChars || !text.includes('@')) return undefined
  const addresses: string[] = []
  for (const [part] of text.matchAll(/(?:"[^"]*"|[^,;"])+/g)) {
    const entry = part.trim()
    if (entry === '') continue
    const bare = /^[^<>]*<([^<>\s]+)>$/.exec(entry)?.[1] ?? entry
    const address = addressPattern.exec(bare)?.[1]
    if (address === undefined) return undefined
    addresses.push(address)
  }
  return addresses.length === 0 ? undefined : addresses
}

/** Second-level labels of country domains below which names are registered, e.g. `co.uk`. */
const registries = new Set('ac co com edu go gob gov gv mil ne net nom or org sch'.split(' '))
/** Sites whose every subdomain belongs to somebody else. */
const sharedSites = new Set(
  (
    'amazonaws.com appspot.com azurewebsites.net blogspot.com cloudfront.net firebaseapp.com fly.dev github.io ' +
    'gitlab.io herokuapp.com netlify.app ngrok.app ngrok.io onrender.com pages.dev run.app trycloudflare.com ' +
    'vercel.app web.app windows.net workers.dev ngrok-free.app'
  ).split(' '),
)

/** Whoever a name belongs to (approximates the Public Suffix List), or the /24 of an IPv4 address. */
function siteOf(host: string): string {
  const name = host.toLowerCase().replace(/\.+$/, '')
  if (/^\d+(?:\.\d+){3}$/.test(name)) return `${name.split('.').slice(0, 3).join('.')}.0/24`
  const labels = name.split('.')
  const [second = '', top = ''] = labels.slice(-2)
  if (sharedSites.has(`${second}.${top}`)) return name
  return labels.slice(top.length === 2 && registries.has(second) ? -3 : -2).join('.')
}

const maxFolderLevels = 5

/** Parent folder with `.` and `..` worked out, so that no detour hides where a path leads; five levels at most. */
function folderOf(path: string): string {
  const [lead = '', ...rest] = path.replaceAll('\\', '/').split('/')
  const above: string[] = []
  // The last part is the file.
  for (const part of rest.slice(0, -1)) {
    if (part === '' || part === '.') continue
    if (part !== '..') above.push(part)
    else if (above.length > 0 && above.at(-1) !== '..') above.pop()
    // Above the root there is nothing.
    else if (lead !== '') above.push(part)
  }
  return [lead, ...above.slice(0, maxFolderLevels)].join('/') || '/'
}
