import { z } from 'zod'
import type { ControlClient } from './control-client.ts'

/**
 * Makes a one-time link to an admin account. Earlier ones stop working.
 *
 * @param url address of the dashboard, where people reach it under another than it listens on
 */
export async function setupLink(client: ControlClient, url: string | undefined): Promise<string> {
  const Reply = z.object({ token: z.string() })
  const { token } = await client.call(Reply, 'POST', '/control/setup-link', {})
  const origin = url ?? (await client.status()).origin
  return `${origin.replace(/\/$/, '')}/setup?token=${token}`
}
