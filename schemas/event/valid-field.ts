import { z } from 'zod'
import { type EventField, eventFieldNames, eventFields, type FieldSpec } from './fields.ts'

type Check = (value: unknown) => boolean

/**
 * True when a value is what the schema of its field allows, as `schema.safeParse` finds, without building a result:
 * every field of every event is checked when it comes in and when it is read back. Values of JSON fields must come out
 * of a JSON parser; they are taken as they are.
 */
export function isValidField(field: EventField, value: unknown): boolean {
  return checks.get(field)?.(value) ?? false
}

/** What the schemas are made of here; anything else is asked of zod itself. */
function checkOf(schema: z.ZodType): Check {
  const found = compiled(schema)
  return found ?? ((value) => schema.safeParse(value).success)
}

function compiled(schema: z.ZodType): Check | undefined {
  if (schema instanceof z.ZodEnum) {
    const options: ReadonlySet<unknown> = new Set(schema.options)
    return (value) => options.has(value)
  }
  if (schema instanceof z.ZodBoolean) return (value) => typeof value === 'boolean'
  if (schema instanceof z.ZodString) return textCheck(schema)
  if (schema instanceof z.ZodNumber) return numberCheck(schema)
  if (schema instanceof z.ZodArray) return listCheck(schema)
  return undefined
}

/** Every rule of a schema as a function of the value; undefined when one of them is not known here. */
function rulesOf(schema: z.ZodType): Check[] | undefined {
  const rules = (schema.def.checks ?? []).map((check) => ruleOf(check._zod.def))
  return rules.every((rule) => rule !== undefined) ? rules : undefined
}

function ruleOf(def: object): Check | undefined {
  const known = Rule.safeParse(def)
  if (!known.success) return undefined
  const rule = known.data
  switch (rule.check) {
    case 'min_length':
      return (value) => lengthOf(value) >= rule.minimum
    case 'max_length':
      return (value) => lengthOf(value) <= rule.maximum
    case 'greater_than':
      return (value) => typeof value === 'number' && value >= rule.value
    case 'less_than':
      return (value) => typeof value === 'number' && value <= rule.value
    case 'string_format':
      return (value) => typeof value === 'string' && rule.pattern.test(value)
    case 'custom':
      return rule.fn
  }
}

const Rule = z.discriminatedUnion('check', [
  z.object({ check: z.literal('min_length'), minimum: z.int() }),
  z.object({ check: z.literal('max_length'), maximum: z.int() }),
  z.object({ check: z.literal('greater_than'), value: z.number(), inclusive: z.literal(true) }),
  z.object({ check: z.literal('less_than'), value: z.number(), inclusive: z.literal(true) }),
  z.object({ check: z.literal('string_format'), pattern: z.instanceof(RegExp) }),
  z.object({ check: z.literal('custom'), fn: z.custom<Check>((fn) => typeof fn === 'function') }),
])

function lengthOf(value: unknown): number {
  return typeof value === 'string' || Array.isArray(value) ? value.length : Number.NaN
}

function textCheck(schema: z.ZodString): Check | undefined {
  const rules = rulesOf(schema)
  return rules && ((value) => typeof value === 'string' && rules.every((holds) => holds(value)))
}

function numberCheck(schema: z.ZodNumber): Check | undefined {
  const rules = rulesOf(schema)
  const { format } = schema
  if (rules === undefined || (format !== null && format !== 'safeint')) return undefined
  const isNumber: Check = format === null ? Number.isFinite : Number.isSafeInteger
  return (value) => isNumber(value) && rules.every((holds) => holds(value))
}

function listCheck(schema: z.ZodArray): Check | undefined {
  const rules = rulesOf(schema)
  const { element } = schema
  const isEntry = element instanceof z.ZodString ? textCheck(element) : undefined
  if (rules === undefined || isEntry === undefined) return undefined
  return (value) =>
    Array.isArray(value) && rules.every((holds) => holds(value)) && value.every(isEntry)
}

const checks: ReadonlyMap<string, Check> = new Map(
  eventFieldNames.map((field): [string, Check] => {
    const { schema, type }: FieldSpec = eventFields[field]
    return [field, type === 'json' ? (value) => value !== undefined : checkOf(schema)]
  }),
)
