/**
 * The fastest codecs that this machine has: Node's own and those of native packages, each of which may be missing; then the
 * portable one serves. Packages are loaded by the first call of `nativeCodecs`, and one that gives a wrong answer to a known
 * question is not used.
 *
 * The environment variable COWHERD_PORTABLE_CODECS=1 switches all of them off.
 */

import { createRequire } from 'node:module'
import { codecsOfNode } from './codecs-node.ts'
import { crc32cOfPackage, sodiumOfPackage, xxh64OfPackage } from './codecs-packages.ts'
import { portableCodecs } from './codecs-portable.ts'
import type { NamedCodecs } from './codecs.ts'

/** What the package `name` exports, or undefined if it can't be loaded. */
export type LoadPackage = (name: string) => unknown

/** The best codecs of this machine. `load` is for tests. */
export function nativeCodecs(load: LoadPackage = loadOptional): NamedCodecs {
  const portable = portableCodecs()
  if (process.env['COWHERD_PORTABLE_CODECS'] === '1') return portable
  const origins = [
    { origin: 'node', codecs: codecsOfNode(portable) },
    { origin: '@node-rs/crc32', codecs: crc32cOfPackage(load('@node-rs/crc32'), portable) },
    { origin: '@node-rs/xxhash', codecs: xxh64OfPackage(load('@node-rs/xxhash')) },
    { origin: 'sodium-native', codecs: sodiumOfPackage(load('sodium-native'), portable) },
  ]
  let best = portable
  for (const { origin, codecs } of origins) {
    const names = Object.fromEntries(Object.keys(codecs).map((codec) => [codec, origin]))
    best = { ...best, ...codecs, names: { ...best.names, ...names } }
  }
  return best
}

function loadOptional(name: string): unknown {
  try {
    return createRequire(import.meta.url)(name)
  } catch {
    return undefined // not installed, or not for this platform
  }
}
