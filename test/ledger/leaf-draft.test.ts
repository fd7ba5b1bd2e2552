import fc from 'fast-check'
import { expect, test } from 'vitest'
import { derivedFields } from '../../ingest/sequencer/seal-event.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { fromUtf8Strict } from '../../schemas/bytes.ts'
import type { RecordedEvent } from '../../schemas/event/event.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { LeafDraft, maxLeafBytes } from '../../schemas/leaf/leaf.ts'
import { openLeaf, parseLeaf, verifyOpening } from '../../schemas/leaf/open-leaf.ts'

const seed = new Uint8Array(32).fill(5)
const name = fc
  .string({ minLength: 1, maxLength: 256, unit: 'grapheme' })
  .filter((s) => s.length <= 256)
const names = (maxLength: number) => fc.array(name, { maxLength })

/** Fields in whatever order they come, long lists and odd characters included. */
const events = fc
  .record(
    {
      'gen_ai.tool.name': name,
      'mcp.server.name': name,
      'user.name': name,
      'user.id': name,
      'auth.scopes.granted': names(60),
      'auth.scopes.required': names(60),
      'error.message': fc.string(),
      'gen_ai.tool.call.arguments': fc.jsonValue(),
      'gen_ai.tool.call.result': fc.jsonValue(),
      duration_ms: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
      'source.seq': fc.maxSafeNat(),
    },
    { requiredKeys: [] },
  )
  .chain((fields) =>
    fc.shuffledSubarray(Object.entries(fields), { minLength: Object.keys(fields).length }),
  )
  .map(
    (entries): RecordedEvent => ({
      ...Object.fromEntries(entries),
      'event.id': '019300a0-0000-7000-8000-000000000000',
      'event.class': 'tool_call',
      'log.id': 'main',
      'time.occurred': '2026-11-25T10:00:00.000000000Z',
      'time.recorded': '2026-11-25T10:00:00.000000000Z',
    }),
  )

test('leaf and openings are canonical JSON, are committed to, and spell the event', () => {
  fc.assert(
    fc.property(events, fc.boolean(), (event, withTexts) => {
      const { texts } = derivedFields(event, seed)
      const draft = new LeafDraft(sha256, event, seed, withTexts ? texts : undefined)
      const bytes = draft.encode({ sha256: sha256(seed), sizeBytes: 7 })
      expect(bytes.length).toBeLessThanOrEqual(maxLeafBytes)
      const text = fromUtf8Strict(bytes)
      const parsed: JsonValue = JSON.parse(text)
      expect(canonicalJson(parsed)).toBe(text)
      const leaf = parseLeaf(bytes)
      for (const opening of draft.openings) {
        const values: JsonValue = JSON.parse(opening.plaintext)
        expect(canonicalJson(values)).toBe(opening.plaintext)
        expect(verifyOpening(sha256, leaf, opening)).toBe(true)
      }
      expect(canonicalJson(openLeaf(leaf, draft.openings) as unknown as JsonValue)).toBe(
        canonicalJson(event as unknown as JsonValue),
      )
    }),
    { numRuns: 200 },
  )
})

test('clear lists that would burst the leaf stand in the sealed text, the largest first', () => {
  const scopes = (prefix: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${prefix}${i}`.padEnd(200, 'ä'))
  const event: RecordedEvent = {
    'event.id': '019300a0-0000-7000-8000-000000000000',
    'event.class': 'tool_call',
    'log.id': 'main',
    'time.occurred': '2026-11-25T10:00:00.000000000Z',
    'time.recorded': '2026-11-25T10:00:00.000000000Z',
    'auth.scopes.granted': scopes('g', 30),
    'auth.scopes.required': scopes('r', 2),
  }
  const draft = new LeafDraft(sha256, event, seed)
  const leaf = parseLeaf(draft.encode(undefined))
  expect(leaf.clear['auth.scopes.granted']).toBeUndefined()
  expect(leaf.clear['auth.scopes.required']).toHaveLength(2)
  expect(openLeaf(leaf, draft.openings)).toEqual(event)
})
