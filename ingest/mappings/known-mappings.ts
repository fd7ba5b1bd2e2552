import type { Digest } from '../../schemas/tlog/digest.ts'
import { claudeCode } from './claude-code.ts'
import { codex } from './codex.ts'
import { geminiCli } from './gemini-cli.ts'
import type { Mapping } from './mapping.ts'
import { createMcpJsonRpc } from './mcp-jsonrpc.ts'
import { native } from './native.ts'
import { otelMcp } from './otel-mcp.ts'

/** All mappings; the first that recognises a record maps it. Products come before the conventions they also follow. */
export function knownMappings(digest: Digest): readonly Mapping[] {
  return [native, claudeCode, codex, geminiCli, otelMcp, createMcpJsonRpc(digest)]
}
