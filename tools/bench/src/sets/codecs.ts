/**
 * Codecs: the portable and the native ones, each beside a peer: C compiled on the spot for checksums, native or well-known
 * packages for the rest. The data are this project's own sources and, for lz4, what a plain encoder makes of them.
 */

import { createCipheriv } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deflateRawSync } from 'node:zlib'
import { init as startZstd, compress as zstdCompress } from '@bokuweb/zstd-wasm'
import { type Codecs, nativeCodecs, portableCodecs } from '@cowherd/shim'
import { poly1305 as noblePoly1305 } from '@noble/ciphers/_poly1305.js'
import { inflateSync as fflateInflate } from 'fflate'
import type { Decoder } from '@toondepauw/node-zstd'
import { compressSync as lz4Compress, uncompressSync as lz4Uncompress } from 'lz4-napi'
import { compileC } from '../compile.ts'
import { type Contender, measure, ofCalls, ofPrinted } from '../measure.ts'
import type { Row } from '../row.ts'

const SIZES = [4096, 65536, 262144]
const SAMPLE_MS = 10

export async function codecs(rounds: number): Promise<Row[]> {
  await startZstd()
  const program = compileC('codecs')
  const libzstd = await import('@toondepauw/node-zstd').catch(() => undefined) // not for every platform
  const sources = sourcesOfProject(Math.max(...SIZES))
  const [portable, native] = [portableCodecs(), nativeCodecs()]
  const rows: Row[] = []
  for (const bytes of SIZES) {
    const works = worksOn(sources.subarray(0, bytes), libzstd && new libzstd.Decoder())
    for (const { codec, work, inC, peer = ofC(program, inC, bytes) } of works) {
      if (peer === undefined) continue // nothing to compare with on this machine
      const contenders = [ofCalls(portable.names[codec], () => work(portable), SAMPLE_MS)]
      if (native.names[codec] !== portable.names[codec]) {
        contenders.push(ofCalls(native.names[codec], () => work(native), SAMPLE_MS))
      }
      const figures = await measure([...contenders, peer], rounds)
      rows.push({ what: `${codec} ${bytes / 1024} KiB`, bytes, figures, peer: peer.name })
    }
  }
  return rows
}

/** One codec's work, and who does the same. */
interface Work {
  codec: Exclude<keyof Codecs, 'deflateRaw' | 'zstdCompress'>
  work: (codecs: Codecs) => void
  peer?: Contender | undefined
  /** The C program's name for it, if that is the peer. */
  inC?: string
}

function worksOn(plain: Uint8Array, libzstd: Decoder | undefined): Work[] {
  const out = new Uint8Array(plain.length)
  const halves = { lo: 0, hi: 0 }
  const key = Uint8Array.from({ length: 32 }, (_, i) => i)
  const nonce = Uint32Array.of(1, 2, 3, 4)
  const tag = new Uint8Array(16)
  const withLength = lz4Compress(Buffer.from(plain))
  const block = new Uint8Array(withLength.subarray(4))
  const stream = deflateRawSync(plain)
  const frame = Buffer.from(zstdCompress(plain, 3))
  return [
    { codec: 'crc32c', work: (codecs) => void codecs.crc32c(0, plain), inC: 'crc32c' },
    { codec: 'crc64', work: (codecs) => codecs.crc64(halves, plain), inC: 'crc64' },
    { codec: 'xxh64', work: (codecs) => codecs.xxh64(halves, plain), inC: 'xxh64' },
    {
      codec: 'chacha20',
      work: (codecs) => codecs.chacha20(key, nonce, out),
      peer: peerOf('OpenSSL', () => createCipheriv('chacha20', key, new Uint8Array(nonce.buffer)).update(out)),
    },
    {
      codec: 'poly1305',
      work: (codecs) => codecs.poly1305(tag, key, plain),
      peer: peerOf('@noble/ciphers', () => noblePoly1305(plain, key)),
    },
    {
      codec: 'lz4Decompress',
      work: (codecs) => codecs.lz4Decompress(out, block),
      peer: peerOf('lz4-napi', () => lz4Uncompress(withLength)),
    },
    {
      codec: 'inflateRaw',
      work: (codecs) => codecs.inflateRaw(out, stream),
      peer: peerOf('fflate', () => fflateInflate(stream, { out })),
    },
    {
      codec: 'zstdDecompress',
      work: (codecs) => codecs.zstdDecompress(out, frame),
      peer: libzstd && peerOf('libzstd', () => libzstd.decodeSync(frame)),
    },
  ]
}

function peerOf(name: string, work: () => unknown): Contender {
  return ofCalls(name, () => void work(), SAMPLE_MS)
}

/** A function of the C program, if there is that. */
function ofC(program: string | undefined, name: string | undefined, bytes: number): Contender | undefined {
  if (program === undefined || name === undefined) return undefined
  return ofPrinted('C', program, [name, String(bytes), String(SAMPLE_MS)])
}

/** `bytes` of the packages' TypeScript, over and over if there is less. */
function sourcesOfProject(bytes: number): Uint8Array {
  const root = fileURLToPath(new URL('../../../../packages', import.meta.url))
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => /^[^/]+\/src\/.*\.ts$/.test(path))
    .sort()
  const text = Buffer.concat(files.map((path) => readFileSync(join(root, path))))
  return Uint8Array.from({ length: bytes }, (_, i) => text[i % text.length])
}
