/** Where a word may begin, and that one ends: letters and digits of any script make words. */
const beginning = /(?<![\p{L}\p{N}])./gsu
const inWord = /^[\p{L}\p{N}]/u

/**
 * Tells whether a text has one of some identifiers in it as words of their own, in whatever case. There may be as many
 * identifiers as a source has users: a text costs its length times the lengths that identifiers have, not their number.
 */
export class Mentions {
  private readonly identifiers = new Set<string>()
  private readonly lengths = new Set<number>()

  constructor(identifiers: Iterable<string>) {
    for (const identifier of identifiers) {
      const folded = identifier.toLowerCase()
      this.identifiers.add(folded)
      this.lengths.add(folded.length)
    }
  }

  in(text: string): boolean {
    if (this.identifiers.size === 0) return false
    const folded = text.toLowerCase()
    for (const { index } of folded.matchAll(beginning)) {
      for (const length of this.lengths) {
        const end = index + length
        if (end > folded.length || !this.identifiers.has(folded.slice(index, end))) continue
        if (!inWord.test(folded.slice(end, end + 2))) return true
      }
    }
    return false
  }
}
