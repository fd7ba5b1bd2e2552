import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { isJsonObject } from '../mappings/mapping.ts'

/** What JSON.stringify may write as more than one character: all but these. */
const escaped = /[^\u0020\u0021\u0023-\u005b\u005d-\ud7ff\ue000-\uffff]/

/** Bytes of a value as JSON in UTF-8, as JSON.stringify writes it, without writing it. */
export function jsonBytes(value: JsonValue | undefined): number {
  switch (typeof value) {
    case 'string':
      return escaped.test(value)
        ? Buffer.byteLength(JSON.stringify(value))
        : Buffer.byteLength(value) + 2
    case 'number':
      return JSON.stringify(value).length
    case 'boolean':
      return value ? 4 : 5
    case 'undefined':
      return 0
    default:
      return isJsonObject(value) ? objectBytes(value) : listBytes(value)
  }
}

function objectBytes(object: { readonly [key: string]: JsonValue | undefined }): number {
  let bytes = 2
  let members = 0
  for (const key of Object.keys(object)) {
    const value = object[key]
    if (value === undefined) continue
    members++
    bytes += jsonBytes(key) + 1 + jsonBytes(value)
  }
  return bytes + Math.max(0, members - 1)
}

function listBytes(list: readonly JsonValue[] | null): number {
  if (list === null) return 4
  let bytes = 2 + Math.max(0, list.length - 1)
  for (const item of list) bytes += jsonBytes(item)
  return bytes
}
