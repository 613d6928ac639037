/**
 * The text of the hashtable as schedules run it: its plain loads become steps, and what it reads is
 * looked at. Threads
 * don't spin before they sleep, and a reader who is carried away goes to the lock soon: so small cases have it all.
 */

import { fileURLToPath } from 'node:url'
import { bundleScenarios, mutate } from './bundle.ts'

const changes = [
  {
    from: 'function peek(words, at) {\n  return words[at];',
    to: 'function peek(words, at) {\n  return trapped(Atomics.load(words, at));',
  },
  {
    from: 'return this.rcu === void 0 ? this.ints[at] : Atomics.load(this.ints, at);',
    to: 'return trapped(Atomics.load(this.ints, at));',
  },
  { from: 'var SPINS = 100;', to: 'var SPINS = 0;' },
] as const

/** The text of a worker that performs schedules of the scenarios in the file `scenarios/<name>.ts`. */
export async function bundleHashtable(name: string): Promise<string> {
  const text = await bundleScenarios(fileURLToPath(new URL(`./scenarios/${name}.ts`, import.meta.url)))
  const short = text.replaceAll(/var TRIES_MAX(\d*) = 16;/g, 'var TRIES_MAX$1 = 2;')
  return changes.reduce(mutate, short)
}
