/** Entry lists of extents, packed as format chapter 6, 6.1.3 words them. */

export interface CrcFields {
  kind: 'crc32' | 'crc64' | 'crc128'
  /** Sectors. */
  compressed: number
  uncompressed: number
  offset: number
  csumType: number
  compressionType: number
  nonce?: number
  csum?: bigint
}

export type ExtentEntry =
  | { device: number; sector: number; gen?: number; cached?: boolean; unwritten?: boolean }
  | { crc: CrcFields }
  | { stripe: number }
  | { rebalance: { target: number; compression: number } }

/** The value of an extent with these entries. */
export function extentEntries(...entries: readonly ExtentEntry[]): Uint8Array {
  const words = entries.flatMap(wordsOf)
  const bytes = new Uint8Array(8 * words.length)
  const view = new DataView(bytes.buffer)
  words.forEach((word, i) => view.setBigUint64(8 * i, word, true))
  return bytes
}

function wordsOf(entry: ExtentEntry): bigint[] {
  if ('device' in entry) {
    const { device, sector, gen = 0, cached = false, unwritten = false } = entry
    const flags = 1n | (cached ? 2n : 0n) | (unwritten ? 8n : 0n)
    return [flags | (BigInt(sector) << 4n) | (BigInt(device) << 48n) | (BigInt(gen) << 56n)]
  }
  if ('stripe' in entry) return [16n | (BigInt(entry.stripe) << 17n)]
  if ('rebalance' in entry) {
    return [32n | (BigInt(entry.rebalance.compression) << 40n) | (BigInt(entry.rebalance.target) << 48n)]
  }
  return crcWords(entry.crc)
}

function crcWords({ kind, nonce = 0, csum = 0n, ...crc }: CrcFields): bigint[] {
  const compressed = BigInt(crc.compressed - 1)
  const uncompressed = BigInt(crc.uncompressed - 1)
  const offset = BigInt(crc.offset)
  const type = BigInt(crc.csumType)
  const compression = BigInt(crc.compressionType)
  if (kind === 'crc32') {
    const low = 2n | (compressed << 2n) | (uncompressed << 9n) | (offset << 16n) | (type << 24n) | (compression << 28n)
    return [low | (csum << 32n)]
  }
  const wide = BigInt(nonce)
  if (kind === 'crc64') {
    const low = 4n | (compressed << 3n) | (uncompressed << 12n) | (offset << 21n) | (wide << 30n)
    return [low | (type << 40n) | (compression << 44n), csum]
  }
  const low = 8n | (compressed << 4n) | (uncompressed << 17n) | (offset << 30n) | (wide << 43n)
  return [low | (type << 56n) | (compression << 60n), csum, 0n]
}
