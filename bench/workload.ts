/**
 * One of the benchmarks' events in the native wire format; `n` gives its names and values.
 *
 * @param bytes of its JSON, about; at least 550
 */
export function benchEvent(n: number, bytes = 995): object {
  const text = 'the quick brown fox jumps over the lazy dog '.repeat(Math.ceil(bytes / 44))
  const tools = ['read_file', 'search', 'list_directory', 'query', 'send_mail']
  return {
    'event.class': 'tool_call',
    'time.occurred': new Date().toISOString(),
    'mcp.server.name': `server-${n % 7}`,
    'gen_ai.tool.name': tools[n % tools.length],
    'gen_ai.agent.name': `agent-${n % 20}`,
    'user.name': `user-${n % 50}`,
    'user.id': `u-${n % 50}`,
    'mcp.client.name': 'bench',
    'auth.scopes.granted': ['files:read', 'mail:send'],
    'outcome.status': n % 40 === 0 ? 'tool_error' : 'success',
    duration_ms: (n * 37) % 900,
    'gen_ai.conversation.id': `conversation-${n % 500}`,
    'gen_ai.tool.call.arguments': {
      path: `/srv/reports/${n % 300}/summary.txt`,
      limit: n % 100,
      note: 'quarterly figures for the board',
    },
    'gen_ai.tool.call.result': `lines ${n}: ${text.slice(0, Math.max(0, bytes - 511))}`,
  }
}
