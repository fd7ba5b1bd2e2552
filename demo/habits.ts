import type { SourceEvent } from '../schemas/event/event.ts'
import type { JsonValue } from '../schemas/leaf/canonical-json.ts'

/** Repeatable pseudo-random numbers in [0, 1) (mulberry32). */
export type Random = () => number

export function seededRandom(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** A kind of call that an agent makes again and again. */
export interface Habit {
  readonly agent: string
  readonly user: string
  readonly server: string
  readonly tool: string
  /** Seen by a gateway that knows scopes, or by the tap in front of a stdio server. */
  readonly seenBy: 'gateway' | 'tap'
  readonly scopes?: readonly string[]
  /** Calls on a working day; a tenth of it on Saturday and Sunday. */
  readonly callsPerDay: number
  /** Hours of the day in UTC between which it happens. */
  readonly hours: readonly [number, number]
  args(random: Random, workspace: string): { [key: string]: JsonValue }
  result(args: { readonly [key: string]: JsonValue }): JsonValue
}

export const reportNames = ['q1.csv', 'q2.csv', 'q3.csv', 'q4.csv']
export const changeNames = ['api.md', 'cli.md', 'docs.md', 'web.md']
export const inboxNames = Array.from({ length: 12 }, (_, i) => `mail-${i + 1}.txt`)

const done = () => 'done'

/** Who does what in the demo's company. History and the live part both follow this table. */
export const habits: readonly Habit[] = [
  {
    ...by('finance-reporter', 'mara.lind', 'files', 'read_text_file', 20, [6, 10]),
    args: (random, workspace) => ({ path: `${workspace}/reports/${pick(random, reportNames)}` }),
    result: () => 'month;revenue\n1;120\n2;131',
  },
  {
    ...by('finance-reporter', 'mara.lind', 'everything', 'get-sum', 20, [6, 10]),
    args: (random) => ({ a: whole(random, 100_000), b: whole(random, 100_000) }),
    result: ({ a, b }) => `The sum of ${a} and ${b} is ${Number(a) + Number(b)}.`,
  },
  {
    ...by('finance-reporter', 'mara.lind', 'mail', 'send_mail', 8, [9, 11]),
    args: (random) => ({
      to: pick(random, ['board@corp.example', 'cfo@corp.example', 'controller@corp.example']),
      subject: `Daily figures ${whole(random, 1_000_000)}`,
      body: `Revenue of the day: ${whole(random, 1_000_000)}`,
    }),
    result: done,
  },
  {
    ...by('support-triage', 'jon.berg', 'memory', 'search_nodes', 35, [7, 18]),
    args: (random) => ({ query: `customer ${whole(random, 1_000_000)}` }),
    result: () => ({ entities: [], relations: [] }),
  },
  {
    ...by('support-triage', 'jon.berg', 'memory', 'create_entities', 10, [7, 18]),
    args: (random) => ({
      entities: [
        {
          name: `case ${whole(random, 1_000_000)}`,
          entityType: pick(random, ['case', 'customer']),
          observations: [`reported as ${whole(random, 1_000_000)}`],
        },
      ],
    }),
    result: done,
  },
  {
    ...by('support-triage', 'jon.berg', 'tickets', 'search', 45, [7, 18], ['tickets:read']),
    args: (random) => ({ query: `issue ${whole(random, 1_000_000)}` }),
    result: () => ({ hits: 3 }),
  },
  {
    ...by('support-triage', 'jon.berg', 'tickets', 'update_ticket', 20, [8, 18], ['tickets:write']),
    args: (random) => ({
      id: whole(random, 1_000_000),
      status: pick(random, ['open', 'pending', 'solved']),
    }),
    result: done,
  },
  {
    ...by('release-notes', 'ana.ruiz', 'files', 'read_text_file', 18, [13, 17]),
    args: (random, workspace) => ({ path: `${workspace}/changes/${pick(random, changeNames)}` }),
    result: () => '- faster start\n- fewer surprises',
  },
  {
    ...by('release-notes', 'ana.ruiz', 'files', 'write_file', 4, [15, 17]),
    args: (random, workspace) => ({
      path: `${workspace}/notes/release-${whole(random, 1_000_000)}.md`,
      content: `Release ${whole(random, 1_000_000)}`,
    }),
    result: done,
  },
  {
    ...by('inbox-assistant', 'tom.hale', 'mail', 'list_mail', 12, [6, 19]),
    args: () => ({ folder: 'inbox' }),
    result: () => inboxNames.join('\n'),
  },
  {
    ...by('inbox-assistant', 'tom.hale', 'files', 'read_text_file', 25, [6, 19]),
    args: (random, workspace) => ({ path: `${workspace}/inbox/${pick(random, inboxNames)}` }),
    result: () => 'Could we move the meeting to Thursday?',
  },
  {
    ...by('inbox-assistant', 'tom.hale', 'mail', 'send_mail', 9, [7, 19]),
    args: (random) => ({
      to: pick(random, [
        'ana.ruiz@corp.example',
        'jon.berg@corp.example',
        'mara.lind@corp.example',
        'orders@supplier.example',
      ]),
      subject: `Re: your message ${whole(random, 1_000_000)}`,
      body: `Thank you. Reference ${whole(random, 1_000_000)}.`,
    }),
    result: done,
  },
  {
    ...by('inbox-assistant', 'tom.hale', 'calendar', 'list_events', 8, [6, 19], ['calendar:read']),
    args: (random) => ({ week: 1 + whole(random, 52) }),
    result: () => ({ events: 4 }),
  },
]

/** The event that a call of a habit is, as far as both vantage points agree. */
export function eventOf(habit: Habit, args: { readonly [key: string]: JsonValue }): SourceEvent {
  const { scopes } = habit
  return {
    'event.class': 'tool_call',
    'source.product': habit.seenBy === 'tap' ? 'sealtrail-tap' : 'demo-gateway',
    'source.vantage': habit.seenBy === 'tap' ? 'client' : 'gateway',
    'mcp.method.name': 'tools/call',
    'mcp.server.name': habit.server,
    'gen_ai.tool.name': habit.tool,
    'gen_ai.agent.name': habit.agent,
    'user.name': habit.user,
    'outcome.status': 'success',
    ...asFields({
      'gen_ai.tool.call.arguments': args,
      'gen_ai.tool.call.result': habit.result(args),
    }),
    ...(scopes === undefined
      ? {}
      : {
          'auth.scopes.requested': [...scopes],
          'auth.scopes.granted': [...scopes],
          'auth.scopes.required': [...scopes],
        }),
  }
}

/** The cast is safe: the two JSON types say the same, one of them read-only. */
export function asFields(fields: { readonly [key: string]: JsonValue }): Partial<SourceEvent> {
  return fields as Partial<SourceEvent>
}

function by(
  agent: string,
  user: string,
  server: string,
  tool: string,
  callsPerDay: number,
  hours: readonly [number, number],
  scopes?: readonly string[],
): Omit<Habit, 'args' | 'result'> {
  const seenBy = scopes === undefined ? 'tap' : 'gateway'
  const own = { agent, user, server, tool, callsPerDay, hours, seenBy } as const
  return scopes === undefined ? own : { ...own, scopes }
}

function pick(random: Random, values: readonly string[]): string {
  return values[Math.floor(random() * values.length)] ?? ''
}

function whole(random: Random, below: number): number {
  return Math.floor(random() * below)
}
