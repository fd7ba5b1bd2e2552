import { CreateSourceKeyReply, SourceKeysReply } from '../schemas/api/sources.ts'
import { SealtrailError } from '../schemas/errors.ts'
import type { ControlClient } from './control-client.ts'

const unitSeconds = { s: 1, m: 60, h: 3600, d: 86_400 } as const

/** `24h`, `90m`, `7d` or `0` as seconds; undefined for anything else. */
export function durationSeconds(text: string): number | undefined {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhd]?)$/.exec(text) ?? []
  if (count === '') return undefined
  if (unit === '') return count === '0' ? 0 : undefined
  return Number(count) * unitSeconds[unit as keyof typeof unitSeconds]
}

/** Makes a new secret and key for a source. @throws SealtrailError `NOT_FOUND` */
export async function rotateSourceKey(
  client: ControlClient,
  source: string,
  overlapSeconds: number,
): Promise<CreateSourceKeyReply> {
  const { id, version } = await findSource(client, source)
  return client.call(CreateSourceKeyReply, 'POST', `/api/v1/source-keys/${id}/rotate`, {
    overlapSeconds,
    expectedVersion: version,
  })
}

/** One line a key of each source, for people. */
export async function sourceKeyLines(client: ControlClient): Promise<string[]> {
  const { sources } = await client.call(SourceKeysReply, 'GET', '/api/v1/source-keys')
  return sources.flatMap(({ id, name, keys }) =>
    keys.map(({ fingerprint, state, createdAt, expiresAt, lastUsedAt }) => {
      const until = expiresAt === null ? '' : `, until ${expiresAt.slice(0, 16)}`
      const used =
        lastUsedAt === null ? 'not used since the start' : `used ${lastUsedAt.slice(0, 19)}`
      return `${id}  ${JSON.stringify(name)}  ${fingerprint}  ${state}${until}, made ${createdAt.slice(0, 10)}, ${used}`
    }),
  )
}

/** A source by its id, or by a name that one source has. */
async function findSource(client: ControlClient, wanted: string) {
  const { sources } = await client.call(SourceKeysReply, 'GET', '/api/v1/source-keys')
  const byId = sources.find(({ id }) => id === wanted)
  const byName = sources.filter(({ name, revokedAt }) => name === wanted && revokedAt === null)
  const found = byId ?? (byName.length === 1 ? byName[0] : undefined)
  if (found !== undefined) return found
  const why = byName.length > 1 ? `${byName.length} sources have the name` : 'there is no source'
  throw new SealtrailError('NOT_FOUND', `${why} ${JSON.stringify(wanted)}`, {
    hint: 'Name it by its id: sealtrail source-key list prints them.',
  })
}
