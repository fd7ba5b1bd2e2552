import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  columnOf,
  columnType,
  eventColumns,
  fieldOfColumn,
  observationColumns,
  observationRow,
  toEventRow,
} from '../../analytics/store/event-columns.ts'
import { flattenJson, maxFlattened } from '../../analytics/store/flatten-json.ts'
import { rowDigest } from '../../analytics/store/reconcile.ts'
import { searchText, searchTokens } from '../../analytics/store/search-text.ts'
import { eventFieldNames } from '../../schemas/event/fields.ts'
import { syntheticEvent, syntheticLeaf } from './committed-leaf-fixture.ts'

test('every field has one column of its own, and the way back', () => {
  expect(new Set(eventFieldNames.map(columnOf)).size).toBe(eventFieldNames.length)
  for (const field of eventFieldNames) {
    expect(fieldOfColumn(columnOf(field))).toBe(field)
    expect(columnOf(field)).toMatch(/^[a-z][a-z0-9_]*$/)
    expect(observationColumns.filter(({ name }) => name === columnOf(field))).toHaveLength(1)
  }
  expect(fieldOfColumn('search_text')).toBeUndefined()
  expect(columnType('time.occurred')).toBe("DateTime64(9, 'UTC')")
  expect(columnType('gen_ai.tool.name')).toBe('LowCardinality(String)')
})

test('an empty list is present, an absent one is not', () => {
  const row = toEventRow(syntheticLeaf(0, { 'auth.scopes.required': [] }).event)
  const value = (name: string) =>
    row.values[row.positions.indexOf(eventColumns.findIndex((column) => column.name === name))]
  expect(value('auth_scopes_required')).toEqual([])
  expect(value('auth_scopes_challenged')).toBeUndefined()
  expect(value('present')).toContain('auth.scopes.required')
  expect(value('present')).not.toContain('auth.scopes.challenged')
})

test('no row holds the details of administration: they are hashes and secrets', () => {
  const details = { passwordHash: 'canary-hash' }
  const rowIn = (logId: string) => {
    const leaf = syntheticLeaf(0, { 'admin.details': details, 'admin.action': 'user.create' })
    const event = { ...leaf.event, 'log.id': logId }
    return JSON.stringify(observationRow({ ...leaf, logId, event }).values.map(String))
  }
  expect(rowIn('_system')).toContain('user.create')
  expect(rowIn('_system')).not.toMatch(/canary-hash|admin\.details/)
  // What an export said of itself is no secret, and is found.
  expect(rowIn('main')).toContain('canary-hash')
})

test('arguments become paths and values; items of a list share its path', () => {
  expect(flattenJson({ files: ['x', 'y'], a: { b: 1 }, deep: [{ k: true }, { k: null }] })).toEqual(
    {
      paths: ['a.b', 'deep.k', 'deep.k', 'files', 'files'],
      values: ['1', 'true', 'null', 'x', 'y'],
    },
  )
})

test('the order of keys, which the ledger does not keep, changes no digest', () => {
  const inOrder = { a: { b: 'x', c: 'y' }, d: [{ e: 1, f: 2 }] }
  const turned = { d: [{ f: 2, e: 1 }], a: { c: 'y', b: 'x' } }
  const leaf = (value: typeof inOrder) => {
    const base = syntheticLeaf(1, { 'gen_ai.tool.call.arguments': value, attributes: value })
    return { ...base, leafHash: new Uint8Array(32) }
  }
  const straight = leaf(inOrder)
  const event = Object.fromEntries(Object.entries(leaf(turned).event).reverse())
  const reversed = { ...straight, event: { ...straight.event, ...event } }
  const other = { ...straight, event: { ...leaf(turned).event } }
  expect(rowDigest(reversed)).toEqual(rowDigest(straight))
  expect(rowDigest(other)).toEqual(rowDigest(straight))
})

test('however large the arguments, the lists stay bounded and of equal length', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const { paths, values } = flattenJson([value, Array(600).fill(value)])
      expect(paths.length).toBe(values.length)
      expect(paths.length).toBeLessThanOrEqual(maxFlattened)
      expect(values.every((text) => text.isWellFormed())).toBe(true)
    }),
  )
})

test('free text finds words of values, in lower case, and raw text only where nothing was mapped', () => {
  const event = syntheticEvent(3, {
    'error.message': 'Disk FULL',
    'raw.record': 'rawcanary',
    'gen_ai.tool.call.result': { text: 'one\nTwo' },
  })
  const words = searchTokens(searchText(event))
  for (const word of ['disk', 'full', 'one', 'two', 'read', 'issues', 'claude', 'example']) {
    expect(words).toContain(word)
  }
  expect(words).not.toContain('rawcanary')
  const unmapped = syntheticEvent(3, {
    'record.disposition': 'unmapped',
    'raw.record': 'rawcanary',
  })
  expect(searchTokens(searchText(unmapped))).toContain('rawcanary')
})

test('tokens contain no separator of the index', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      for (const token of searchTokens(text)) expect(token).toMatch(/^[a-z0-9\u0080-\uffff]+$/)
    }),
  )
})
