import { expect, test } from 'vitest'
import { capabilityOfName, capabilityOfTool } from '../../analytics/detectors/capability.ts'
import { leafStream } from '../fixtures/agent-history.ts'

test.each([
  ['read_email', 'read'],
  ['Mail.Read', 'read'],
  ['get_all_hotels_in_city', 'read'],
  ['listPosts', 'read'],
  ['search', 'read'],
  ['send_email', 'send'],
  ['Mail.Send', 'send'],
  ['get_and_send_mail', 'send'],
  ['post_webpage', 'send'],
  ['update_ticket', 'write'],
  ['deleteFile', 'write'],
  ['read_write', 'write'],
  ['repo:admin', 'admin'],
  ['repo:all', 'admin'],
  ['files:*', 'admin'],
] as const)('the name %s tells of the capability %s', (name, capability) => {
  expect(capabilityOfName(name)).toBe(capability)
})

test('annotations raise what a name tells and never lower it', () => {
  const tool = (name: string, annotations: Record<string, boolean>) =>
    capabilityOfTool(
      leafStream()(0, { 'gen_ai.tool.name': name, 'tool.annotations': annotations }).event,
    )
  expect(tool('lookup', { readOnlyHint: false })).toBe('write')
  expect(tool('lookup', { destructiveHint: true })).toBe('write')
  expect(tool('lookup', { readOnlyHint: true, destructiveHint: true })).toBe('read')
  expect(tool('lookup', {})).toBe('read')
  expect(tool('send_mail', { readOnlyHint: true })).toBe('send')
})
