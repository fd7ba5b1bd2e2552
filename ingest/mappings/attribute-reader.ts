import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import type { JsonObject } from './mapping.ts'

/** Reads attributes by name and remembers which were read, so that the others can be kept as they are. */
export class AttributeReader {
  readonly read = new Set<string>()
  private readonly attributes: JsonObject

  constructor(attributes: JsonObject) {
    this.attributes = attributes
  }

  /** Value of the first of these names that is present and not empty. All of them count as read. */
  get(...names: readonly string[]): JsonValue | undefined {
    let found: JsonValue | undefined
    for (const name of names) {
      const value = Object.hasOwn(this.attributes, name) ? this.attributes[name] : undefined
      if (value === undefined) continue
      this.read.add(name)
      if (value === null || value === '') continue
      found ??= value
    }
    return found
  }

  /** Looks without marking: the attribute stays among those that are kept. */
  peek(name: string): JsonValue | undefined {
    return Object.hasOwn(this.attributes, name) ? this.attributes[name] : undefined
  }
}
