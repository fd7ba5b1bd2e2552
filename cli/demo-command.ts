import { CreateSourceKeyReply } from '../schemas/api/sources.ts'
import type { ControlClient } from './control-client.ts'

/** Shows Sealtrail at work: real MCP servers, a real MCP client, and one agent that is misled. */
export async function demoCommand(client: ControlClient, days: number): Promise<void> {
  const { origin } = await client.status()
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
