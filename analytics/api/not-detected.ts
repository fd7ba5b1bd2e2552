import type { LogIntegrity } from '../../schemas/api/integrity.ts'

/**
 * What this deployment cannot detect, in sentences, by what its anchors cover now. The README says the same of one
 * without anchors.
 */
export function notDetected(
  logs: readonly Pick<LogIntegrity, 'logId' | 'treeSize' | 'anchoring'>[],
): string[] {
  return [
    ...logs.flatMap(rewriting),
    'A proof shows that a record did not change since it was logged. It does not show that the source told the truth.',
    'Records that never reached a receiver leave no trace here, unless their source numbers what it sends.',
  ]
}

/** What whoever holds data directory and signing key can do to a log unseen. */
function rewriting({
  logId,
  treeSize,
  anchoring,
}: Pick<LogIntegrity, 'logId' | 'treeSize' | 'anchoring'>): string[] {
  const { anchors, witnessedSize } = anchoring
  if (anchors.length === 0) {
    return [
      `Log ${logId} has no anchor outside. Whoever holds the data directory and the signing key can put back an older state as a whole, or write a different history from some point on, and sign it. Only a copy of a newer checkpoint elsewhere (your browser, an export, a note of yours) contradicts that.`,
    ]
  }
  const sentences: string[] = []
  if (witnessedSize < treeSize) {
    sentences.push(
      witnessedSize === 0
        ? `No anchor holds a checkpoint of log ${logId} yet: until one does, whoever holds the data directory and the signing key can rewrite all of it.`
        : `The newest ${(treeSize - witnessedSize).toLocaleString('en')} leaves of log ${logId} are not covered by an anchor yet: whoever holds the data directory and the signing key can still rewrite those.`,
    )
  }
  if (anchors.every(({ kind }) => kind === 'directory')) {
    sentences.push(
      `The only anchor of log ${logId} is a directory. Whoever can also rewrite that directory goes undetected: let this machine append to it and nothing else (chattr +a, a WORM share), or add a bucket with object lock or a witness.`,
    )
  }
  if (
    anchors.every(({ kind }) => kind === 'directory' || kind === 'webhook' || kind === 'bucket')
  ) {
    sentences.push(
      `Nobody outside compares the histories of log ${logId} that different people are shown: without a witness, two readers can be shown two logs.`,
    )
  }
  return sentences
}
