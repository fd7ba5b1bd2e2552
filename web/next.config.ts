import { join } from 'node:path'
import type { NextConfig } from 'next'

const repository = join(import.meta.dirname, '..')

/** Pages only. The API, sessions and every key live in the core process, which proxies pages from here. */
const config: NextConfig = {
  typescript: { tsconfigPath: 'tsconfig.json' },
  turbopack: { root: repository },
  outputFileTracingRoot: repository,
  poweredByHeader: false,
  productionBrowserSourceMaps: false,
  reactStrictMode: true,
  images: { unoptimized: true },
  devIndicators: false,
}

export default config
