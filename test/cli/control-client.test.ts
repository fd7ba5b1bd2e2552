import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { ControlClient } from '../../cli/control-client.ts'

const Line = z.object({ n: z.int() })
let folder: string
let server: Server
let answer: (reply: ServerResponse) => void
let client: ControlClient
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sealtrail-client-'))
  const path = join(folder, 'control.sock')
  server = createServer((_request, reply) => answer(reply))
  await new Promise<void>((listening) => server.listen(path, listening))
  client = new ControlClient(path)
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((closed) => server.close(closed))
  rmSync(folder, { recursive: true, force: true })
})

async function read(): Promise<number[]> {
  const seen: number[] = []
  for await (const { n } of client.lines(Line, 'POST', '/')) seen.push(n)
  return seen
}

test('lines come whole, wherever the bytes were cut', async () => {
  answer = (reply) => {
    reply.write('{"n":1}\n{"n"')
    setTimeout(() => reply.end(':2}\n'), 20)
  }
  expect(await read()).toEqual([1, 2])
})

const brokenOff = { code: 'SERVER_UNREACHABLE', message: expect.stringContaining('went away') }

test.each(['{"n":1}\n', '{"n":1}\n{"n":2'])(
  'a reply that breaks off after %j throws: less is not all',
  async (part) => {
    answer = (reply) => {
      reply.write(part)
      setTimeout(() => reply.destroy(), 20)
    }
    await expect(read()).rejects.toMatchObject(brokenOff)
  },
)

test('a reply that ends in the middle of a line throws, although it ended', async () => {
  answer = (reply) => reply.end('{"n":1}\n{"n":2')
  await expect(read()).rejects.toMatchObject(brokenOff)
})

test('a body that breaks off throws too', async () => {
  answer = (reply) => {
    reply.writeHead(200, { 'content-length': 100 })
    reply.write('{"n":1}')
    setTimeout(() => reply.destroy(), 20)
  }
  await expect(client.call(Line, 'GET', '/')).rejects.toMatchObject(brokenOff)
})

test('a problem becomes the error that it describes', async () => {
  answer = (reply) => {
    reply.writeHead(404, { 'content-type': 'application/problem+json' })
    reply.end(
      JSON.stringify({
        type: 'urn:sealtrail:error:NOT_FOUND',
        title: 'There is no such thing',
        status: 404,
        detail: 'there is no such log',
        code: 'NOT_FOUND',
        hint: 'Check the id.',
      }),
    )
  }
  await expect(read()).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: 'there is no such log',
    hint: 'Check the id.',
  })
})

test('nobody on the socket is an error for a call, and no for a question', async () => {
  const nobody = new ControlClient(join(folder, 'no.sock'))
  expect(await nobody.answers()).toBe(false)
  await expect(nobody.status()).rejects.toMatchObject({
    code: 'SERVER_UNREACHABLE',
    hint: expect.stringContaining('--data'),
  })
})
