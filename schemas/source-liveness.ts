/** How often a collector says that it is there, while it has nothing else to say. */
export const heartbeatIntervalMs = 30_000

/** Heard this long ago and not closed: the source is silent. Three heartbeats may be late before it is said. */
export const silentAfterMs = 4 * heartbeatIntervalMs
