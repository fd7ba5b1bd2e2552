import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openAnchors } from '../../cli/anchors.ts'
import { readConfiguration } from '../../cli/configuration.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { TestWitness } from '../fixtures/witness.ts'

let folder: string
let witness: TestWitness
const file = (name: string, text: string) => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}
beforeAll(async () => {
  folder = await temporaryDirectory()
  witness = await TestWitness.start('witness.example/w1')
})
afterAll(async () => {
  await witness.stop()
  rmSync(folder, { recursive: true, force: true })
})
const open = (environment: Record<string, string>) =>
  openAnchors(readConfiguration({}, environment).anchors, () => 0)

describe('the settings of anchors', () => {
  test('open each of them, named without secrets', async () => {
    const { anchors, policy } = await open({
      SEALTRAIL_ANCHOR_DIRECTORY: '/mnt/worm',
      SEALTRAIL_ANCHOR_WEBHOOK_URL: 'https://audit.example/checkpoints?token=abc',
      SEALTRAIL_ANCHOR_WEBHOOK_SECRET_FILE: file('secret', 'sixteen-characters\n'),
      SEALTRAIL_ANCHOR_BUCKET_URL: 'https://s3.example/bucket/a/b',
      SEALTRAIL_ANCHOR_BUCKET_CREDENTIALS_FILE: file(
        'credentials',
        '[default]\naws_access_key_id = id\naws_secret_access_key=key\n',
      ),
      SEALTRAIL_WITNESS_POLICY_FILE: file(
        'policy',
        `# ours\nwitness w1 ${witness.verifierKey} ${witness.url}\nquorum w1\n`,
      ),
    })
    expect(anchors.map(({ kind, target }) => `${kind} ${target}`)).toEqual([
      'directory /mnt/worm',
      'webhook https://audit.example/checkpoints',
      'bucket https://s3.example/bucket/a/b',
      'witness witness.example/w1',
    ])
    expect(policy?.isQuorum(new Set(['w1']))).toBe(true)
  })

  test.each([
    ['a relative folder', { SEALTRAIL_ANCHOR_DIRECTORY: 'anchors' }, /absolute path/],
    [
      'an address without its secret',
      { SEALTRAIL_ANCHOR_WEBHOOK_URL: 'https://a.example/' },
      /go together/,
    ],
    [
      'a bucket without credentials',
      { SEALTRAIL_ANCHOR_BUCKET_URL: 'https://a.example/b' },
      /go together/,
    ],
    [
      'an address in the clear',
      { SEALTRAIL_ANCHOR_WEBHOOK_URL: 'http://a.example/' },
      /must begin with https/,
    ],
    [
      'an address with a password',
      { SEALTRAIL_ANCHOR_BUCKET_URL: 'https://me:secret@a.example/b' },
      /no user and password/,
    ],
    ['no bucket', { SEALTRAIL_ANCHOR_BUCKET_URL: 'https://a.example/' }, /<endpoint>\/<bucket>/],
    ['no interval', { SEALTRAIL_ANCHOR_INTERVAL_S: '0' }, /SEALTRAIL_ANCHOR_INTERVAL_S/],
    ['a policy that is not there', { SEALTRAIL_WITNESS_POLICY_FILE: '/none' }, /cannot be read/],
  ])('refuse %s', (_name, environment, message) => {
    expect(() => readConfiguration({}, environment)).toThrow(message)
  })

  test.each([
    ['quorum nobody', /line 1 of the witness policy: nobody is not defined above/],
    ['', /has no quorum line/],
    ['witness w1 nonsense\nquorum w1', /line 1 .* not <name>\+<id>\+<key>/],
    ['witness w1 KEY http://a.example/\nquorum w1', /witness w1 must begin with https/],
    ['witness w1 KEY\nwitness w2 KEY\nquorum w1', /line 2 .* in the policy twice/],
    [
      'witness w1 KEY\ngroup g 2 w1\nquorum g',
      /line 2 .* 2 is not all, any, or a number from 1 to 1/,
    ],
    [
      'witness w1 KEY\ngroup g all w1\ngroup h any w1\nquorum h',
      /line 3 .* member of a group already/,
    ],
    ['witness none KEY\nquorum none', /line 1 .* the name none is taken/],
    ['quorum none\nquorum none', /line 2 .* a quorum already/],
    ['trust everybody', /line 1 .* not log, witness, group or quorum/],
    ['quorum\u00a0none\r', /line 1 .* control character/],
  ])('refuse the policy %j', async (policy, message) => {
    const path = file('bad-policy', policy.replaceAll('KEY', witness.verifierKey))
    await expect(open({ SEALTRAIL_WITNESS_POLICY_FILE: path })).rejects.toThrow(message)
  })
})
