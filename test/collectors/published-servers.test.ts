import { mkdtempSync, realpathSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client as ClientV2 } from '@modelcontextprotocol/client'
import { StdioClientTransport as StdioClientTransportV2 } from '@modelcontextprotocol/client/stdio'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { CreateMessageRequestSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CaptureReceiver } from '../fixtures/mcp/capture-receiver.ts'
import {
  bundledCollector,
  publishedServer,
  repository,
  tapEnvironment,
} from '../fixtures/mcp/tap-process.ts'

let collector = ''
let receiver = new CaptureReceiver()
let folder = ''

beforeAll(async () => {
  collector = await bundledCollector()
})
beforeEach(async () => {
  receiver = await new CaptureReceiver().start()
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'sealtrail-servers-')))
  return () => receiver.stop()
})

function tapped(serverName: string, program: string[], env: Record<string, string> = {}) {
  return {
    command: process.execPath,
    args: [collector, 'tap', '--server', serverName, '--url', receiver.url].concat(
      ['--spool', join(folder, '.spool'), '--', process.execPath],
      program,
    ),
    env: tapEnvironment({ SEALTRAIL_SOURCE_SECRET: receiver.secretText, ...env }),
    stderr: 'ignore' as const,
  }
}

async function connect(serverName: string, program: string[], env: Record<string, string> = {}) {
  const client = new Client(
    { name: 'official-client', version: '1.2.3' },
    { capabilities: { sampling: {}, elicitation: {} } },
  )
  client.setRequestHandler(CreateMessageRequestSchema, async () => ({
    model: 'test-model',
    role: 'assistant' as const,
    content: { type: 'text' as const, text: 'sampled' },
  }))
  client.setRequestHandler(ElicitRequestSchema, async () => ({ action: 'decline' as const }))
  await client.connect(new StdioClientTransport(tapped(serverName, program, env)))
  return client
}

const toolCalls = () => receiver.ofClass('tool_call')

describe('the official client through the tap', () => {
  test('everything: calls, failures, resources, prompts, sampling and elicitation are on the record', async () => {
    const client = await connect('everything', [publishedServer('everything'), 'stdio'], {
      SEALTRAIL_AGENT: 'tester',
    })
    const { tools } = await client.listTools()
    expect(await client.callTool({ name: 'echo', arguments: { message: 'hello' } })).toMatchObject({
      content: [{ type: 'text', text: 'Echo: hello' }],
    })
    await client.callTool({ name: 'get-sum', arguments: { a: 'x', b: 1 } }).catch(() => undefined)
    await client.callTool({ name: 'no-such-tool' }).catch(() => undefined)
    await client.callTool({
      name: 'trigger-sampling-request',
      arguments: { prompt: 'hi', maxTokens: 10 },
    })
    await client.callTool({ name: 'trigger-elicitation-request' })
    const { resources } = await client.listResources()
    await client.readResource({ uri: resources[0]?.uri ?? '' })
    await client.getPrompt({ name: 'simple-prompt' })
    await client.ping()
    await client.close()
    expect(receiver.violations).toEqual([])
    expect(toolCalls().map((each) => [each['gen_ai.tool.name'], each['outcome.status']])).toEqual([
      ['echo', 'success'],
      ['get-sum', 'tool_error'],
      ['no-such-tool', 'tool_error'],
      ['trigger-sampling-request', 'success'],
      ['trigger-elicitation-request', 'success'],
    ])
    const [echo] = toolCalls()
    expect(echo).toMatchObject({
      'gen_ai.tool.call.arguments': { message: 'hello' },
      'gen_ai.tool.call.result': 'Echo: hello',
      'mcp.client.name': 'official-client',
      'mcp.client.version': '1.2.3',
      'mcp.protocol.version': '2025-11-25',
      'gen_ai.agent.name': 'tester',
    })
    expect(echo?.['tool.definition_hash']).toMatch(/^[0-9a-f]{64}$/)
    expect(receiver.ofClass('tool_list')[0]?.['tool.list_count']).toBe(tools.length)
    for (const wanted of [
      'session',
      'sampling',
      'elicitation',
      'resource_read',
      'prompt_get',
    ] as const)
      expect(receiver.ofClass(wanted), wanted).toHaveLength(1)
    expect(receiver.ofClass('source').at(-1)?.['source.signal']).toBe('close')
  })

  test('filesystem: what was read and written stands with paths and content', async () => {
    writeFileSync(join(folder, 'a.txt'), 'the content of a')
    const client = await connect('files', [publishedServer('filesystem'), folder])
    await client.callTool({ name: 'read_text_file', arguments: { path: join(folder, 'a.txt') } })
    await client.callTool({
      name: 'write_file',
      arguments: { path: join(folder, 'b.txt'), content: 'written' },
    })
    await client.callTool({ name: 'read_text_file', arguments: { path: '/etc/hostname' } })
    await client.close()
    expect(receiver.violations).toEqual([])
    expect(toolCalls().map((each) => [each['gen_ai.tool.name'], each['outcome.status']])).toEqual([
      ['read_text_file', 'success'],
      ['write_file', 'success'],
      ['read_text_file', 'tool_error'],
    ])
    expect(JSON.stringify(toolCalls()[0])).toContain('the content of a')
    expect(toolCalls()[1]?.['gen_ai.tool.call.arguments']).toEqual({
      path: join(folder, 'b.txt'),
      content: 'written',
    })
  })

  test('memory: 200 calls at once arrive once each', async () => {
    const client = await connect('memory', [publishedServer('memory')], {
      MEMORY_FILE_PATH: join(folder, 'memory.jsonl'),
    })
    await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        client.callTool({ name: 'search_nodes', arguments: { query: `q${i}` } }),
      ),
    )
    await client.close()
    expect(receiver.violations).toEqual([])
    const queries = toolCalls().map((each) => JSON.stringify(each['gen_ai.tool.call.arguments']))
    expect(new Set(queries).size).toBe(200)
    expect(queries).toHaveLength(200)
  })

  test('the same session without a receiver gives the client the same answers', async () => {
    await receiver.stop()
    const client = await connect('everything', [publishedServer('everything'), 'stdio'])
    expect(await client.callTool({ name: 'get-sum', arguments: { a: 2, b: 3 } })).toMatchObject({
      content: [{ text: 'The sum of 2 and 3 is 5.' }],
    })
    await client.close()
    await receiver.start()
  })

  test('2026-07-28: discovery, calls, input required and its retry, with the client of each request', async () => {
    const client = new ClientV2(
      { name: 'v2-client', version: '4.5.6' },
      {
        versionNegotiation: { mode: { pin: '2026-07-28' } },
        capabilities: { elicitation: { form: {} } },
      },
    )
    client.setRequestHandler('elicitation/create', async () => ({
      action: 'accept' as const,
      content: { confirm: true },
    }))
    await client.connect(
      new StdioClientTransportV2(
        tapped('v2', ['--import', 'tsx', join(repository, 'test/fixtures/mcp/v2-server.ts')]),
      ),
    )
    await client.listTools()
    expect(await client.callTool({ name: 'add', arguments: { a: 2, b: 40 } })).toMatchObject({
      content: [{ text: '42' }],
    })
    await client.callTool({ name: 'fail', arguments: {} })
    expect(await client.callTool({ name: 'deploy', arguments: { env: 'prod' } })).toMatchObject({
      content: [{ text: 'deployed to prod' }],
    })
    await client.close()
    expect(receiver.violations).toEqual([])
    expect(toolCalls().map((each) => [each['gen_ai.tool.name'], each['outcome.status']])).toEqual([
      ['add', 'success'],
      ['fail', 'tool_error'],
      ['deploy', 'input_required'],
      ['deploy', 'success'],
    ])
    expect(toolCalls()[0]).toMatchObject({
      'mcp.protocol.version': '2026-07-28',
      'mcp.client.name': 'v2-client',
      'mcp.client.version': '4.5.6',
      'mcp.server.version': '9.1.0',
      'tool.annotations': { readOnlyHint: true },
    })
    expect(receiver.ofClass('session')[0]?.['mcp.method.name']).toBe('server/discover')
  })
})
