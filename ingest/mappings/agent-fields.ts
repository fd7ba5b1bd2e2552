import type { OutcomeStatus } from '../../schemas/event/class.ts'
import type { AttributeReader } from './attribute-reader.ts'
import type { FieldDraft } from './mapping.ts'
import { toolNameAt } from './mcp-method.ts'
import { readBoolean, readText } from './read-value.ts'

/** Decision of a person or policy, in the words that coding agents use for it. */
export function readDecision(decision: string | undefined): 'allow' | 'deny' | 'ask' | undefined {
  if (decision === undefined) return undefined
  if (/^(?:accept|allow|approve|auto_accept|modify|yes)/i.test(decision)) return 'allow'
  if (/^(?:reject|den|abort|refus|block|no$)/i.test(decision)) return 'deny'
  return /^(?:ask|prompt)/i.test(decision) ? 'ask' : undefined
}

/** Outcome of a tool as an agent reports it: a refused call is denied and no error of the tool. */
export function agentOutcome(
  success: boolean | undefined,
  decision: 'allow' | 'deny' | 'ask' | undefined,
): OutcomeStatus {
  if (decision === 'deny' && success !== true) return 'denied'
  if (success === undefined) return 'unknown'
  return success ? 'success' : 'tool_error'
}

/** Tool and server of an agent's record. Without a server field the exposed name is all that is known. */
export function agentTool(
  exposed: string | undefined,
  server: string | undefined,
  ownName: string | undefined,
): FieldDraft {
  const tool = ownName ?? (exposed === undefined ? undefined : toolNameAt(exposed, server))
  return {
    'mcp.server.name': server,
    'gen_ai.tool.name': tool,
    'tool.exposed_name': tool === exposed ? undefined : exposed,
    'mcp.method.name': server === undefined ? undefined : 'tools/call',
  }
}

export function readSuccess(attribute: AttributeReader): boolean | undefined {
  return readBoolean(attribute.get('success'))
}

export function transportOf(transport: string | undefined): string | undefined {
  if (transport === undefined) return undefined
  return transport === 'stdio'
    ? 'pipe'
    : /^(?:http|sse|streamable|ws)/i.test(transport)
      ? 'tcp'
      : readText(transport)
}
