import { describe, expect, it } from 'vitest'
import type { EventFields } from '../../schemas/event/event.ts'
import { compareCells, describeWrong } from '../../web/verify/compare-cells.ts'

const recorded: EventFields = {
  'event.class': 'tool_call',
  'time.occurred': '2026-11-26T00:53:48.064012000Z',
  'user.name': 'alice',
  'gen_ai.tool.name': 'read_file',
  'outcome.status': 'denied',
  'gen_ai.tool.call.arguments': { path: `/srv/${'x'.repeat(600)}`, n: 1 },
  'gen_ai.tool.call.result': { text: 'not in lists' },
  trace_id: 'a'.repeat(32),
}
const cutArguments = JSON.stringify({ n: 1, path: `/srv/${'x'.repeat(600)}` }).slice(0, 512)

function row(changed: EventFields, cut: string[] = ['gen_ai.tool.call.arguments']) {
  const { 'gen_ai.tool.call.result': _result, ...listed } = recorded
  return { event: { ...listed, 'gen_ai.tool.call.arguments': cutArguments, ...changed }, cut }
}

function without(field: keyof EventFields) {
  const { event, cut } = row({})
  return {
    event: Object.fromEntries(Object.entries(event).filter(([name]) => name !== field)),
    cut,
  }
}

describe('compareCells', () => {
  it('finds nothing in an honest row, with a long text cut as lists cut it', () => {
    expect(compareCells(row({}), recorded)).toEqual({ compared: 7, wrong: [] })
  })

  it('names an altered cell with what is shown and what is recorded', () => {
    expect(compareCells(row({ 'outcome.status': 'success' }), recorded).wrong).toEqual([
      { field: 'outcome.status', shown: 'success', recorded: 'denied' },
    ])
  })

  it('names a cell that the ledger does not have', () => {
    expect(compareCells(row({ 'error.message': 'made up' }), recorded).wrong).toEqual([
      { field: 'error.message', shown: 'made up', recorded: undefined },
    ])
  })

  it('names a cell of the results that the row leaves out, but no field that lists do not bring', () => {
    expect(compareCells(without('outcome.status'), recorded).wrong).toEqual([
      { field: 'outcome.status', shown: undefined, recorded: 'denied' },
    ])
    expect(compareCells(without('trace_id'), recorded).wrong).toEqual([])
  })

  it('takes no shorter cut, no longer one, no other beginning, and no cut of what is no text', () => {
    const field = 'gen_ai.tool.call.arguments'
    for (const shown of [
      '{',
      cutArguments.slice(0, 511),
      `${cutArguments}x`,
      `x${cutArguments.slice(1)}`,
      '',
    ]) {
      expect(
        compareCells(row({ [field]: shown }), recorded).wrong,
        shown.slice(0, 20),
      ).toHaveLength(1)
    }
    expect(
      compareCells(row({ 'outcome.status': 'denied' }, [field, 'outcome.status']), recorded).wrong,
    ).toHaveLength(1)
  })

  it('does not take a number for its text', () => {
    const event: EventFields = { duration_ms: 12 }
    const shown = { event: { duration_ms: '12' } as unknown as EventFields, cut: [] }
    expect(compareCells(shown, event).wrong).toHaveLength(1)
  })
})

describe('describeWrong', () => {
  it('says in a sentence what is shown and what the leaf says', () => {
    expect(
      describeWrong([
        { field: 'outcome.status', shown: 'success', recorded: 'denied' },
        { field: 'user.name', shown: undefined, recorded: 'alice' },
        { field: 'error.type', shown: 'x', recorded: undefined },
      ]),
    ).toBe(
      'outcome.status is shown as "success", the leaf says "denied"; user.name is left out, the leaf says "alice"; error.type is shown as "x", and the leaf has no such field or it is withheld',
    )
  })
})
