/** The hash of keys: words mixed one by one into a seed. Quick, and good enough for buckets; not a secret-keyed hash. */

import { LENGTH_MASK } from './layout.ts'

/** One word more. */
function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1)
  return Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b)
}

function finish(hash: number): number {
  return hash ^ (hash >>> 16)
}

/** Hash of a key of `count` words, 1 to 3. */
export function hashWords(seed: number, a: number, b: number, c: number, count: number): number {
  let hash = mix(seed, a)
  if (count > 1) hash = mix(hash, b)
  if (count > 2) hash = mix(hash, c)
  return finish(hash)
}

/** Hash of the key of `count` words at `words[from]`; of one to three words the same as by `hashWords`. */
export function hashKey(seed: number, words: Int32Array, from: number, count: number): number {
  let hash = seed
  for (let i = 0; i < count; i++) hash = mix(hash, words[from + i])
  return finish(hash)
}

/** The words of a key whose first word is its length in bytes. */
export function countedWords(first: number): number {
  return 1 + (((first & LENGTH_MASK) + 3) >>> 2)
}

/** The seed of the n-th table, from the hashtable's. */
export function seedOf(seed: number, n: number): number {
  return finish(mix(seed, n))
}
