import { defineConfig } from 'vitest/config'

/**
 * One tier a project. `npm test` runs `embedded` and needs nothing but npm;
 * the other tiers fail, never skip, when what they need is not there.
 */
export default defineConfig({
  test: {
    projects: [
      tier('embedded', {
        include: ['test/**/*.test.ts'],
        exclude: [
          'test/servers/**',
          'test/interop/**',
          'test/e2e/**',
          'test/data/**',
          'test/soak/**',
          'test/faults/injected/**',
        ],
      }),
      tier('servers', { include: ['test/servers/**/*.test.ts'] }),
      tier('interop', { include: ['test/interop/**/*.test.ts'] }),
      tier('browser', { include: ['test/e2e/**/*.test.ts'] }),
      tier('data', { include: ['test/data/**/*.test.ts'] }),
      tier('faults', { include: ['test/faults/injected/**/*.test.ts'] }),
      tier('soak', { include: ['test/soak/**/*.test.ts'] }),
    ],
  },
})

function tier(name: string, files: { include: string[]; exclude?: string[] }) {
  const slow = name !== 'embedded'
  return {
    test: {
      name,
      include: files.include,
      exclude: ['node_modules/**', 'dist/**', ...(files.exclude ?? [])],
      testTimeout: slow ? 300_000 : 60_000,
      hookTimeout: slow ? 300_000 : 60_000,
      pool: 'forks' as const,
      fileParallelism: !slow,
    },
  }
}
