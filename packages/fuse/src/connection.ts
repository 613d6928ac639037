/** The first request of a mount, INIT: kernel and filesystem agree on a version and on what both can do. */

import { Feature, InitIn, InitOut, PROTOCOL_MAJOR, PROTOCOL_MINOR, type FeatureName } from './protocol.ts'

/** What the filesystem wants. */
export interface ConnectionOptions {
  /** Asked for where the kernel offers them. `maxPages` and `initExt` are always asked for, `bigWrites` and `asyncRead` too. */
  readonly features?: readonly FeatureName[]
  /** Greatest WRITE, and with it READ, in bytes; rounded up to whole pages. Default 1 MiB. */
  readonly maxWriteBytes?: number
  /** How far the kernel may read ahead; it offers 128 KiB mostly. Default: what it offers. */
  readonly maxReadaheadBytes?: number
  /**
   * To what the filesystem rounds times, in nanoseconds, a power of ten; 1 if left out. With the feature `writebackCache` the kernel sets
   * times itself, and rounds them so.
   */
  readonly timeGranularityNs?: number
  /** Requests that the kernel makes by itself (reading ahead, ...) and that are not yet answered. Default 64. */
  readonly maxBackground?: number
}

/** What was agreed on. */
export interface Connection {
  /** Minor version of the protocol that both speak. */
  readonly minor: number
  readonly kernelMinor: number
  readonly features: ReadonlySet<FeatureName>
  readonly offered: ReadonlySet<FeatureName>
  readonly maxWriteBytes: number
  readonly maxReadaheadBytes: number
}

const ALWAYS: readonly FeatureName[] = ['asyncRead', 'bigWrites', 'maxPages', 'initExt']
const PAGE_BYTES = 4096
const MAX_WRITE_BYTES_DEFAULT = 1 << 20
const MAX_BACKGROUND = 64
/** Pages of a request where the number can't be agreed on, and the most that can. */
const MAX_PAGES_DEFAULT = 32
const MAX_PAGES_MAX = 0xffff
/** The least minor version whose structures we speak: 64 bytes of init_out. */
const MINOR_MIN = 23

/** What an INIT of the kernel leads to. */
export type Negotiation =
  | { readonly kind: 'agreed'; readonly connection: Connection; readonly reply: Uint8Array }
  /** The kernel is newer: it will send INIT again with our major version. */
  | { readonly kind: 'again'; readonly reply: Uint8Array }
  | { readonly kind: 'refused'; readonly why: string }

/** What at most is agreed on as the greatest WRITE and READ. */
export function maxWriteBytesOf(options: ConnectionOptions): number {
  const pages = Math.ceil((options.maxWriteBytes ?? MAX_WRITE_BYTES_DEFAULT) / PAGE_BYTES)
  return Math.min(Math.max(pages, 1), MAX_PAGES_MAX) * PAGE_BYTES
}

/** Answers the body of an INIT request. */
export function negotiate(body: Uint8Array, options: ConnectionOptions): Negotiation {
  const init = InitIn.readPadded(body)
  if (init.major > PROTOCOL_MAJOR) return { kind: 'again', reply: initOut({ minor: PROTOCOL_MINOR }) }
  if (init.major < PROTOCOL_MAJOR || init.minor < MINOR_MIN) {
    return { kind: 'refused', why: `the kernel speaks FUSE ${init.major}.${init.minor}; 7.${MINOR_MIN} is the least` }
  }
  const offered = featuresOf(init.flags, (init.flags & (1 << Feature.initExt)) === 0 ? 0 : init.flags2)
  const wanted = [...ALWAYS, ...(options.features ?? [])]
  const features = new Set(wanted.filter((name) => offered.has(name)))
  const pages = maxWriteBytesOf(options) / PAGE_BYTES
  const maxPages = features.has('maxPages') ? pages : Math.min(pages, MAX_PAGES_DEFAULT)
  const maxWriteBytes = maxPages * PAGE_BYTES
  const maxReadaheadBytes = Math.min(init.maxReadahead, options.maxReadaheadBytes ?? init.maxReadahead)
  const maxBackground = options.maxBackground ?? MAX_BACKGROUND
  const minor = Math.min(init.minor, PROTOCOL_MINOR)
  const [flags, flags2] = flagsOf(features)
  const reply = initOut({
    minor,
    maxReadahead: maxReadaheadBytes,
    flags,
    flags2,
    maxBackground,
    maxWrite: maxWriteBytes,
    maxPages,
    timeGranularity: options.timeGranularityNs ?? 1,
  })
  return {
    kind: 'agreed',
    connection: { minor, kernelMinor: init.minor, features, offered, maxWriteBytes, maxReadaheadBytes },
    reply,
  }
}

interface InitReply {
  readonly minor: number
  readonly maxReadahead?: number
  readonly flags?: number
  readonly flags2?: number
  readonly maxBackground?: number
  readonly maxWrite?: number
  readonly maxPages?: number
  readonly timeGranularity?: number
}

function initOut(reply: InitReply): Uint8Array {
  const maxBackground = reply.maxBackground ?? 0
  return InitOut.bytes({
    major: PROTOCOL_MAJOR,
    minor: reply.minor,
    maxReadahead: reply.maxReadahead ?? 0,
    flags: reply.flags ?? 0,
    maxBackground,
    congestionThreshold: Math.floor((maxBackground * 3) / 4),
    maxWrite: reply.maxWrite ?? PAGE_BYTES,
    timeGranularity: reply.timeGranularity ?? 1,
    maxPages: reply.maxPages ?? 0,
    mapAlignment: 0,
    flags2: reply.flags2 ?? 0,
    maxStackDepth: 0,
    requestTimeoutSeconds: 0,
    unused: undefined,
  })
}

function featuresOf(flags: number, flags2: number): Set<FeatureName> {
  const found = new Set<FeatureName>()
  for (const name of Object.keys(Feature) as FeatureName[]) {
    const bit = Feature[name]
    if (((bit < 32 ? flags >>> bit : flags2 >>> (bit - 32)) & 1) === 1) found.add(name)
  }
  return found
}

function flagsOf(features: ReadonlySet<FeatureName>): [number, number] {
  let flags = 0
  let flags2 = 0
  for (const name of features) {
    const bit = Feature[name]
    if (bit < 32) flags |= 1 << bit
    else flags2 |= 1 << (bit - 32)
  }
  return [flags >>> 0, flags2 >>> 0]
}
