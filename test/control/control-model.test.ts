import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { PasswordHasher } from '../../ledger/control/password-hash.ts'
import { isSealtrailError } from '../../schemas/errors.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { openControl, stateOf } from './open-control.ts'

/** The property is about the fold; argon2id would only make it slow. */
const plain: PasswordHasher = {
  hash: async (password) => `plain:${password}`,
  verify: async (stored, password) => stored === `plain:${password}`,
}

const password = fc.constantFrom('password number one', 'password number two')
const pick = fc.nat(5)
const expected = fc.integer({ min: 0, max: 4 })
const command = fc.oneof(
  fc.record({
    kind: fc.constant('user' as const),
    name: fc.constantFrom('anna', 'Anna', 'bert', 'carl'),
    password,
  }),
  fc.record({ kind: fc.constant('password' as const), pick, expected, password }),
  fc.record({ kind: fc.constant('disable' as const), pick, expected }),
  fc.record({ kind: fc.constant('key' as const) }),
  fc.record({ kind: fc.constant('revoke' as const), pick, expected }),
  fc.record({ kind: fc.constant('reopen' as const) }),
)

interface ModelUser {
  id: string
  name: string
  password: string
  disabled: boolean
  version: number
}
interface ModelKey {
  id: string
  key: string
  revoked: boolean
  version: number
}

/** What the command must end in: undefined when it must succeed. */
function conflict(target: { version: number } | undefined, seen: number): string | undefined {
  if (target === undefined) return 'NOT_FOUND'
  return target.version === seen ? undefined : 'VERSION_CONFLICT'
}

test('any commands, with restarts between them, leave exactly the users and keys of a simple model', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 25 }), async (commands) => {
      const directory = await temporaryDirectory()
      let opened = await openControl(directory, { passwords: plain })
      const users: ModelUser[] = []
      const keys: ModelKey[] = []
      const outcomeOf = (run: Promise<unknown>) =>
        run.then(
          () => undefined,
          (error: unknown) => (isSealtrailError(error) ? error.code : String(error)),
        )
      try {
        for (const each of commands) {
          if (each.kind === 'reopen') {
            const before = stateOf(opened.control)
            await opened.close()
            opened = await openControl(directory, { passwords: plain })
            expect(stateOf(opened.control)).toEqual(before)
          } else if (each.kind === 'user') {
            const taken = users.some(({ name }) => name.toLowerCase() === each.name.toLowerCase())
            const outcome = await outcomeOf(
              opened.control.accounts
                .createUser({ name: each.name, password: each.password, role: 'analyst' }, 'x')
                .then(({ id }) =>
                  users.push({
                    id,
                    name: each.name,
                    password: each.password,
                    disabled: false,
                    version: 1,
                  }),
                ),
            )
            expect(outcome).toBe(taken ? 'VERSION_CONFLICT' : undefined)
          } else if (each.kind === 'key') {
            const { id, key } = await opened.control.createSourceKey(
              { name: 'source', logId: 'main' },
              'x',
            )
            keys.push({ id, key, revoked: false, version: 1 })
          } else if (each.kind === 'revoke') {
            const key = keys[each.pick]
            const outcome = conflict(key, each.expected)
            expect(
              await outcomeOf(
                opened.control.revokeSourceKey(key?.id ?? 'none', each.expected, 'x'),
              ),
            ).toBe(outcome)
            if (key !== undefined && outcome === undefined) {
              key.revoked = true
              key.version++
            }
          } else {
            const user = users[each.pick]
            const id = user?.id ?? 'none'
            const outcome = conflict(user, each.expected)
            expect(
              await outcomeOf(
                each.kind === 'disable'
                  ? opened.control.accounts.disableUser(id, each.expected, 'x')
                  : opened.control.accounts.setPassword(id, each.password, each.expected, 'x'),
              ),
            ).toBe(outcome)
            if (user !== undefined && outcome === undefined) {
              user.version++
              if (each.kind === 'disable') user.disabled = true
              else user.password = each.password
            }
          }
        }
        for (const { id, name, password: right, disabled, version } of users) {
          expect(opened.control.accounts.user(id)?.version).toBe(version)
          const found = await opened.control.accounts.authenticateUser(name, right)
          expect(found?.id).toBe(disabled ? undefined : id)
          expect(await opened.control.accounts.authenticateUser(name, `${right}!`)).toBeUndefined()
        }
        expect(opened.control.accounts.users()).toHaveLength(users.length)
        for (const { id, key, revoked } of keys) {
          expect(opened.control.authenticateSourceKey(key)?.sourceId).toBe(revoked ? undefined : id)
        }
      } finally {
        await opened.close()
      }
    }),
    { numRuns: 25 },
  )
})
