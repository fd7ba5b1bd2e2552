import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { z } from 'zod'

/** A mail account in a folder: `inbox/` is read, `sent/` is where mail ends. Nothing leaves the machine. */
const [folder = '.'] = process.argv.slice(2)
mkdirSync(join(folder, 'sent'), { recursive: true })

const server = new McpServer({ name: 'demo-mail', version: '1.0.0' })
server.registerTool(
  'list_mail',
  {
    description: 'Lists the messages of a folder.',
    inputSchema: { folder: z.enum(['inbox', 'sent']) },
    annotations: { readOnlyHint: true },
  },
  async (args) => ({
    content: [{ type: 'text', text: readdirSync(join(folder, args.folder)).join('\n') }],
  }),
)
let sent = 0
server.registerTool(
  'send_mail',
  {
    description: 'Sends a message.',
    inputSchema: { to: z.email(), subject: z.string(), body: z.string() },
    annotations: { readOnlyHint: false, openWorldHint: true },
  },
  async (mail) => {
    const name = `${process.pid}-${++sent}.json`
    writeFileSync(join(folder, 'sent', name), JSON.stringify(mail))
    return { content: [{ type: 'text', text: 'done' }] }
  },
)
await server.connect(new StdioServerTransport())
