import { buildForeignProgram, foreignPrograms } from './foreign-program.ts'

/** Builds every foreign program of the interop tier, in the background of other steps. */
for (const module of Object.values(foreignPrograms)) {
  process.stdout.write(`${await buildForeignProgram(module)}\n`)
}
