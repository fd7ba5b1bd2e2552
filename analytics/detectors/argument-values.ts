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
  if (typeof value === 'string') found.push({ path, value })
  else if (typeof value === 'number' || typeof value === 'boolean')
    found.push({ path, value: String(value) })
  else if (value !== null && typeof value === 'object') {
    if (isArray(value))
      for (const item of value.slice(0, 16)) walk(item, `${path}[]`, depth + 1, found)
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
  readonly kind: 'address' | 'host' | 'folder' | 'value'
  /** What is counted. */
  readonly key: string
  /** How it is called in a sentence. */
  readonly label: string
}

const addressPattern = /^[^\s@<>"]{1,128}@([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8})$/i
const urlPattern =
  /^[a-z][a-z0-9+.-]{1,20}:\/\/(?:[^/@\s]{0,256}@)?(\[[0-9a-f:.]+\]|[^/:?#\s]{1,253})/i
const hostPattern = /^(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24})$/i
const pathPattern = /^(?:\/|~\/|\.{1,2}\/|[a-z]:\\)[^\n]{0,1024}$/i

/** Classifies a value. Long texts count as themselves, shortened: their novelty silences them. */
export function classifyValue(value: string): ValueClass {
  const text = value.trim()
  if (text.length <= 512) {
    const domain = addressPattern.exec(text)?.[1]
    if (domain !== undefined)
      return {
        kind: 'address',
        key: siteOf(domain),
        label: `the mail domain ${domain.toLowerCase()}`,
      }
    const host = urlPattern.exec(text)?.[1] ?? (hostPattern.test(text) ? text : undefined)
    if (host !== undefined)
      return { kind: 'host', key: siteOf(host), label: `the host ${host.toLowerCase()}` }
    if (pathPattern.test(text)) {
      const folder = folderOf(text)
      return { kind: 'folder', key: folder, label: `the folder ${folder}` }
    }
  }
  return {
    kind: 'value',
    key: value.length > 200 ? ownCopy(cutText(text, 200)) : text,
    label: `the value ${JSON.stringify(cutText(text, 80))}`,
  }
}

/** Last two labels of a name (approximates the registrable domain), or /24 of an IPv4 address. */
function siteOf(host: string): string {
  const name = host.toLowerCase()
  if (/^\d+(?:\.\d+){3}$/.test(name)) return `${name.split('.').slice(0, 3).join('.')}.0/24`
  return name.split('.').slice(-2).join('.')
}

/** Parent folder, four levels at most. */
function folderOf(path: string): string {
  const parts = path.replaceAll('\\', '/').split('/')
  return parts.slice(0, Math.min(parts.length - 1, 6)).join('/') || '/'
}
