import { z } from 'zod'
import { CreateSourceKeyReply } from '../schemas/api/sources.ts'
import type { ControlClient } from './control-client.ts'

/** Status of a running Sealtrail, as its control socket tells it. */
export const ControlStatus = z.object({ origin: z.string(), otlpOrigin: z.string() })

/** Shows Sealtrail at work: real MCP servers, a real MCP client, and one agent that is misled. */
export async function demoCommand(client: ControlClient, days: number): Promise<void> {
  const { origin } = await client.call(ControlStatus, 'GET', '/control/status')
  const { secret } = await client.call(CreateSourceKeyReply, 'POST', '/api/v1/source-keys', {
    name: `demo ${new Date().toISOString().slice(0, 16)}`,
  })
  const { runDemo } = await import('../demo/run.ts')
  await runDemo({
    url: origin,
    sourceSecret: secret,
    days,
    log: (line) => process.stdout.write(`${line}\n`),
  })
}
