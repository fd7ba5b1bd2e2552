import { createHash, generateKeyPairSync, sign, verify as verifySignature } from 'node:crypto'
import { base64, fromUtf8Strict, utf8 } from '../../../schemas/bytes.ts'
import { explainQuery } from '../../../schemas/query/explain-query.ts'
import { parseQuery } from '../../../schemas/query/parse-query.ts'
import type { Query } from '../../../schemas/query/query.ts'
import {
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
} from '../../../schemas/tlog/checkpoint.ts'
import { inclusionProof, leafHash, MemoryHashTree, rootOf } from '../../../schemas/tlog/merkle.ts'
import {
  formatVerifierKey,
  keyId,
  noteVerifier,
  openNote,
  parseNote,
  parseVerifierKey,
  signNote,
} from '../../../schemas/tlog/note.ts'
import {
  decodeEntryBundle,
  encodeEntryBundle,
  parseTilePath,
  tilePath,
} from '../../../schemas/tlog/tiles.ts'
import {
  formatTlogProof,
  parseTlogProof,
  verifyTlogProof,
} from '../../../schemas/tlog/tlog-proof.ts'
import { decodedOr, ensure, type FuzzTarget } from '../fuzz-target.ts'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()

const query: FuzzTarget = {
  name: 'query',
  corpus: [
    'tool:send_mail user:("a b" OR c*) -server:x latency:>10',
    'time.occurred:[2026-01-01 TO now} OR (arg.path:"/etc" AND NOT outcome:denied)',
    'arguments.items[0].name:x rm -rf "quoted \\" text" url:https://x/y?a=(1)',
    '!tool:* && scope!=mail.read || latency<=5.5',
  ].map((text) => utf8(text)),
  dictionary: [
    ...[
      'AND',
      'OR',
      'NOT',
      '&&',
      '||',
      '!',
      '-',
      '(',
      ')',
      '[',
      ']',
      '{',
      '}',
      ' TO ',
      '"',
      '*',
      ':',
    ],
    ...[
      'tool:',
      'user:',
      'arguments.',
      'result.',
      '>=',
      '<=',
      '!=',
      '\\"',
      'class:tool_call',
      'arg.',
    ],
  ],
  check(input) {
    const text = Buffer.from(input).toString('utf8').slice(0, 5000)
    const result = decodedOr(() => parseQuery(text))
    if ('refusal' in result) return result.refusal
    const { value } = result
    checkSpans(value, text.length)
    ensure(explainQuery(value) !== '', 'a query can be explained')
    ensure(
      JSON.stringify(parseQuery(text)) === JSON.stringify(value),
      'parsing is a function of the text',
    )
    return shapeOf(value, 3)
  },
}

function checkSpans(each: Query, length: number): void {
  if ('terms' in each) for (const term of each.terms) checkSpans(term, length)
  if ('term' in each) checkSpans(each.term, length)
  if (!('span' in each)) return
  ensure(
    each.span.from >= 0 && each.span.from < each.span.until && each.span.until <= length,
    'a span lies in the text',
  )
}

function shapeOf(each: Query, depth: number): string {
  if (depth === 0) return ''
  if ('terms' in each)
    return `${each.kind}(${each.terms.map((term) => shapeOf(term, depth - 1)).join()})`.slice(0, 80)
  return 'term' in each ? `not ${shapeOf(each.term, depth - 1)}` : each.kind
}

const name = 'sealtrail-0123456789abcdef/main'
const pair = generateKeyPairSync('ed25519')
const publicKey = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
const vkey = formatVerifierKey(sha256, name, publicKey)
const verifier = noteVerifier(
  sha256,
  (_key, message, signature) => verifySignature(null, message, pair.publicKey, signature),
  vkey,
)
const signed = (text: string) =>
  signNote(text, name, keyId(sha256, name, publicKey), (message) =>
    sign(null, message, pair.privateKey),
  )

const leaves = Array.from({ length: 7 }, (_, at) => utf8(`leaf ${at}`))
const tree = new MemoryHashTree(sha256)
for (const each of leaves) tree.append(leafHash(sha256, each))
const checkpointText = formatCheckpoint({ origin: name, size: 7, root: rootOf(tree, sha256, 7) })
const checkpoint = signed(checkpointText)
const proof = formatTlogProof({ index: 3, hashes: inclusionProof(tree, sha256, 3, 7), checkpoint })

const noteWords = [
  ...[
    '\n\n',
    '\n',
    '\u2014 ',
    `\u2014 ${name} `,
    '+',
    '=',
    'AAAA',
    ' ',
    '\r\n',
    '\0',
    '\u0085',
    '\u00a0',
  ],
  ...[
    '7',
    '07',
    '-1',
    '9007199254740993',
    name,
    'c2sp.org/tlog-proof@v1\n',
    'index 3\n',
    'extra AAAA\n',
  ],
]

const note: FuzzTarget = {
  name: 'signed-note',
  corpus: [utf8(checkpoint), utf8(signed('free text\nof two lines\n'))],
  dictionary: noteWords,
  check(input) {
    const text = textOf(input)
    if (text === undefined) return 'no text'
    const parsed = decodedOr(() => parseNote(text))
    if ('refusal' in parsed) return parsed.refusal
    const opened = decodedOr(() => openNote(text, [verifier]))
    if ('refusal' in opened) return `parsed ${parsed.value.signatures.length}`
    ensure(
      [checkpointText, 'free text\nof two lines\n'].includes(opened.value.text),
      'only what was signed opens',
    )
    return `opened ${parsed.value.signatures.length}`
  },
}

const checkpointTarget: FuzzTarget = {
  name: 'checkpoint',
  corpus: [utf8(checkpointText), utf8(`${checkpointText}extension\n`), utf8(checkpoint)],
  dictionary: noteWords,
  check(input) {
    const text = textOf(input)
    if (text === undefined) return 'no text'
    const whole = decodedOr(() => openCheckpoint(text, [verifier]))
    if ('value' in whole) ensure(whole.value.size === 7, 'only what was signed opens')
    // Signed by who has the key: the text itself is hostile.
    const parsed = decodedOr(() => parseCheckpoint(text))
    if ('refusal' in parsed) return parsed.refusal
    ensure(
      Number.isSafeInteger(parsed.value.size) && parsed.value.size >= 0,
      'a size is a whole number',
    )
    ensure(text.startsWith(formatCheckpoint(parsed.value)), 'what was parsed formats to itself')
    return `parsed ${text.split('\n').length}`
  },
}

const vkeyTarget: FuzzTarget = {
  name: 'verifier-key',
  corpus: [utf8(vkey)],
  dictionary: noteWords,
  check(input) {
    const text = textOf(input)
    if (text === undefined) return 'no text'
    const parsed = decodedOr(() => parseVerifierKey(sha256, text))
    if ('refusal' in parsed) return parsed.refusal
    const { value } = parsed
    ensure(
      formatVerifierKey(sha256, value.name, value.publicKey) === text,
      'what was parsed formats to itself',
    )
    return 'parsed'
  },
}

const proofTarget: FuzzTarget = {
  name: 'tlog-proof',
  corpus: [utf8(proof)],
  dictionary: [...noteWords, ...leaves.map((each) => `${base64(leafHash(sha256, each))}\n`)],
  check(input) {
    const text = textOf(input)
    if (text === undefined) return 'no text'
    const parsed = decodedOr(() => parseTlogProof(text))
    if ('refusal' in parsed) return parsed.refusal
    const again = parseTlogProof(formatTlogProof(parsed.value))
    ensure(
      JSON.stringify(again) === JSON.stringify(parsed.value),
      'what was parsed formats and parses to itself',
    )
    for (const [at, each] of leaves.entries()) {
      const verified = decodedOr(() => verifyTlogProof(sha256, text, each, [verifier]))
      if ('refusal' in verified) continue
      ensure(at === 3 && verified.value.index === 3, 'only the leaf that stands there is proved')
    }
    return `parsed ${parsed.value.hashes.length}`
  },
}

/** First byte even: a path. Odd: a bundle of as many entries as the second byte says. */
const tiles: FuzzTarget = {
  name: 'tile',
  corpus: [
    ...['tile/0/000', 'tile/entries/x001/x234/067.p/8', 'tile/8/001.p/255'].map((path) =>
      utf8(`\0${path}`),
    ),
    Buffer.concat([Uint8Array.of(1, leaves.length), encodeEntryBundle(leaves)]),
  ],
  dictionary: ['tile/', 'entries/', 'x', '/', '.p/', '000', '256', '1', 'x000/', '\0\u0001'],
  check(input) {
    const rest = input.subarray(1)
    if ((input[0] ?? 0) % 2 === 0) {
      const path = Buffer.from(rest).toString('utf8')
      const tile = parseTilePath(path)
      if (tile === undefined) return 'no tile'
      ensure(tilePath(tile) === path, 'a path has one spelling')
      return `tile ${tile.level} ${tile.width === 256}`
    }
    let entries: Uint8Array[]
    try {
      entries = decodeEntryBundle(rest.subarray(1), rest[0] ?? 0)
    } catch (error) {
      if (error instanceof RangeError) return error.message
      throw error
    }
    ensure(
      Buffer.compare(encodeEntryBundle(entries), rest.subarray(1)) === 0,
      'a bundle has one spelling',
    )
    return `bundle ${entries.length}`
  },
}

function textOf(input: Uint8Array): string | undefined {
  try {
    return fromUtf8Strict(input)
  } catch {
    return undefined
  }
}

export const textTargets: readonly FuzzTarget[] = [
  query,
  note,
  checkpointTarget,
  vkeyTarget,
  proofTarget,
  tiles,
]
