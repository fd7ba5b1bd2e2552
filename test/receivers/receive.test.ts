import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { knownMappings } from '../../ingest/mappings/known-mappings.ts'
import { decodeJsonBody } from '../../ingest/receivers/decode-json-records.ts'
import { receiveRecords } from '../../ingest/receivers/receive.ts'
import {
  arrayElements,
  hasInexactNumber,
  hasUnsafeInteger,
  jsonErrorOffset,
  jsonShape,
  objectMembers,
} from '../../ingest/receivers/scan-json.ts'
import { createRedactor } from '../../ingest/redaction/redactor.ts'
import { EventFields } from '../../schemas/event/event.ts'
import { eventFieldNames } from '../../schemas/event/fields.ts'
import { canonicalJson } from '../../schemas/leaf/canonical-json.ts'

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()

function receive(text: string) {
  return receiveRecords(decodeJsonBody(Buffer.from(text)).records, {
    sourceId: 's1',
    format: 'json',
    nowMs: Date.parse('2026-11-24T13:20:00Z'),
    redactor: createRedactor(),
    mappings: knownMappings(digest),
    digest,
  })
}

/** Keys that mappings look for, so that random values reach them. */
const interesting = fc.constantFrom(
  ...eventFieldNames,
  ...[
    'jsonrpc',
    'method',
    'params',
    'result',
    'error',
    'id',
    'line',
    'message',
    'example',
    'tools',
  ],
  ...[
    'resourceLogs',
    'scopeLogs',
    'logRecords',
    'attributes',
    'key',
    'value',
    'stringValue',
    'body',
  ],
  ...['name', 'arguments', '_meta', 'content', 'isError', 'ts', 'password', 'timeUnixNano'],
)
const likely = fc.oneof(
  fc.constantFrom('2.0', 'tools/call', 'tools/list', 'tool_call', 'x', '', '\ud800', '1e999'),
  fc.constantFrom('mcp.method.name', 'event.name', 'codex.tool_result', '{"a":{"a":1,"a":2}}'),
  fc.jsonValue({ maxDepth: 2 }),
)
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 6, depthIdentifier: 'tree' },
    likely,
    fc.array(tie('tree'), { maxLength: 4, depthIdentifier: 'tree' }),
    fc.dictionary(interesting, tie('tree'), { maxKeys: 6, depthIdentifier: 'tree' }),
  ),
}))

describe('receiveRecords', () => {
  it('whatever comes, every record is counted once and every event is valid and has a canonical form', () => {
    fc.assert(
      fc.property(tree, (value) => {
        const text = JSON.stringify(value)
        const request = receive(text)
        expect(request.mapped + request.unmapped + request.rejected).toBe(request.records)
        expect(request.problems).toHaveLength(request.rejected)
        expect(request.events.length).toBeGreaterThanOrEqual(request.records)
        for (const event of request.events) {
          expect(EventFields.safeParse(event).error?.issues).toBeUndefined()
          canonicalJson(JSON.parse(JSON.stringify(event)))
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('text that is cut anywhere is kept as one rejected record', () => {
    const text = '{"event.class":"tool_call","attributes":{"a":[1,"\\u00e4",true,null,-1.5e3]}}'
    for (let length = 1; length < text.length; length++) {
      const request = receive(text.slice(0, length))
      expect(request).toMatchObject({ records: 1, rejected: 1 })
      expect(request.events[0]?.['raw.record']).toBe(text.slice(0, length))
    }
  })

  it('duplicate keys inside of a carried message do not become an event of one of them', () => {
    const line = '{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping"}'
    expect(receive(JSON.stringify({ line, direction: 'client_to_server' }))).toMatchObject({
      mapped: 0,
      unmapped: 1,
    })
  })
})

describe('JSON scanning', () => {
  it('finds the members of any object and the elements of any list', () => {
    fc.assert(
      fc.property(
        fc.array(fc.jsonValue()),
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.nat(3),
        (list, object, indent) => {
          const listText = JSON.stringify(list, null, indent)
          expect(
            arrayElements(listText, 0).map(({ from, until }) =>
              JSON.parse(listText.slice(from, until)),
            ),
          ).toEqual(JSON.parse(listText))
          const objectText = JSON.stringify(object, null, indent)
          const members = objectMembers(objectText, 0).map(({ key, from, until }) => [
            key,
            JSON.parse(objectText.slice(from, until)),
          ])
          expect(Object.fromEntries(members)).toEqual(JSON.parse(objectText))
        },
      ),
    )
  })

  it.each([
    ['{"a":1,}', 7],
    ['[1 2]', 3],
    ['{"a" 1}', 5],
    ['nul', 0],
    ['', 0],
    ['{"a":"\\x"}', 5],
    ['[1,2', 4],
    ['{"a":1}}', 7],
    ['{"a":01}', 6],
  ])('%j stops being JSON at %d', (text, offset) => {
    expect(() => JSON.parse(text)).toThrow()
    expect(jsonErrorOffset(text)).toBe(offset)
  })

  it('the error offset is never inside of valid JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value)
        expect(jsonErrorOffset(text)).toBe(text.length)
      }),
    )
  })

  it('counts depth and large integers outside of strings only', () => {
    expect(jsonShape('{"a":[[1]],"b":"[[[[["}').depth).toBe(3)
    expect(hasUnsafeInteger('{"a":9007199254740993}')).toBe(true)
    expect(hasUnsafeInteger('{"a":9007199254740991,"b":"9007199254740993"}')).toBe(false)
    expect(hasUnsafeInteger('[1.2345678901234567]')).toBe(false)
    for (const exact of [
      '1.0',
      '-0.5e3',
      '1e300',
      '0.30000000000000004',
      '9007199254740991',
      '"1e999"',
      '0',
      '0e5',
    ]) {
      expect(hasInexactNumber(`[${exact}]`), exact).toBe(false)
    }
    for (const inexact of [
      '1e999',
      '1e-400',
      '0.1000000000000000055',
      '1.23456789012345678',
      '123456789012345678',
    ]) {
      expect(hasInexactNumber(`{"a":[${inexact}]}`), inexact).toBe(true)
    }
  })
})
