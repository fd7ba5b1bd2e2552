import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hex } from '../../schemas/bytes.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { aToolCall, openEmbeddedLedger, testMasterKey } from '../fixtures/embedded-ledger.ts'

/**
 * `npx tsx test/golden/make-golden.ts`: writes test/golden/data anew. Do so only with a new format version, beside the
 * old directory: every later version must open, verify and rebuild what lies here.
 */
const directory = fileURLToPath(new URL('./data', import.meta.url))
rmSync(directory, { recursive: true, force: true })
const ledger = await openEmbeddedLedger(directory)
const classes = [
  'tool_list',
  'resource_read',
  'prompt_get',
  'sampling',
  'elicitation',
  'session',
  'auth_challenge',
  'scope_elevation',
  'token_issue',
  'policy_decision',
  'consent',
  'catalog_change',
  'client_decision',
  'other',
  'incident',
  'admin',
  'access',
  'source',
  'tick',
] as const

const events: ObservedEvent[] = [
  ...Array.from({ length: 12 }, (_, i) =>
    aToolCall({
      'gen_ai.tool.call.arguments': {
        path: `/srv/report-${i}.txt`,
        deep: { list: [i, null, true, 'é\u202e'] },
      },
      'gen_ai.tool.call.result': `result ${i}`,
      'auth.scopes.granted': ['files:read'],
      'auth.scopes.required': i % 2 === 0 ? ['files:read'] : ['files:write'],
      'user.id': `u-${i % 3}`,
    }),
  ),
  aToolCall({
    'auth.scopes.granted': Array.from({ length: 200 }, (_, i) => `scope:${'x'.repeat(100)}:${i}`),
  }),
  aToolCall({ 'gen_ai.tool.call.result': 'compressible '.repeat(500) }),
  aToolCall({ 'gen_ai.tool.call.arguments': '\ud800' }),
  ...classes.map(
    (each): ObservedEvent => ({
      ...aToolCall(),
      'event.class': each,
      'admin.action': 'example',
      'admin.details': { b: 1, a: [2] },
    }),
  ),
]
await ledger.sequencer.append('main', events.slice(0, 20))
await ledger.sequencer.publishCheckpoints()
await ledger.sequencer.append('main', events.slice(20))
const numbered = (seq: number) => aToolCall({ 'source.epoch': 'e1', 'source.seq': seq })
await ledger.sequencer.handle([
  {
    position: { topic: 't', incarnation: 'i', partition: 0, offset: '7' },
    batch: {
      version: 1,
      logId: 'main',
      sourceId: 'gateway',
      requestDigest: 'r',
      firstOrdinal: 0,
      requestCount: 2,
      events: [numbered(0), numbered(3)],
    },
  },
])
await ledger.sequencer.append('_system', [
  { ...aToolCall(), 'event.class': 'admin', 'admin.action': 'example' },
])
await ledger.sequencer.publishCheckpoints()
const logs = await Promise.all(
  ['main', '_system'].map(async (logId) => ({
    logId,
    treeSize: ledger.sequencer.tree(logId).size,
    root: hex(ledger.sequencer.root(logId)),
    checkpoints: await ledger.storage.checkpointSizes(logId),
    verifierKey: await ledger.signer.verifierKey(logId),
  })),
)
await ledger.close()
writeFileSync(
  join(directory, 'expected.json'),
  `${JSON.stringify({ logs, testMasterKey: hex(testMasterKey) }, null, 2)}\n`,
)
process.stdout.write(`${JSON.stringify(logs, null, 2)}\n`)
