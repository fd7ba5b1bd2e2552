import { hash, verify } from '@node-rs/argon2'

/** argon2id as OWASP recommends it: 19 MiB, two passes, one lane. */
const parameters = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

export interface PasswordHasher {
  hash(password: string): Promise<string>
  verify(stored: string, password: string): Promise<boolean>
}

export const argon2id: PasswordHasher = {
  hash: (password) => hash(password, parameters),
  async verify(stored, password) {
    try {
      return await verify(stored, password)
    } catch {
      return false
    }
  },
}
