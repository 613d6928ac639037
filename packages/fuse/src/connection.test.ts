import { describe, expect, test } from 'vitest'
import { maxWriteBytesOf, negotiate, type Connection, type ConnectionOptions } from './connection.ts'
import { Feature, InitIn, InitOut, type FeatureName } from './protocol.ts'

const bits = (...features: FeatureName[]): bigint =>
  features.reduce((sum, name) => sum | (1n << BigInt(Feature[name])), 0n)
const EVERYTHING = bits(...(Object.keys(Feature) as FeatureName[]))

interface Offer {
  major?: number
  minor?: number
  maxReadahead?: number
  features?: bigint
}

function offer({ major = 7, minor = 45, maxReadahead = 0x20000, features = EVERYTHING }: Offer = {}): Uint8Array {
  return InitIn.bytes({
    major,
    minor,
    maxReadahead,
    flags: Number(features & 0xffff_ffffn),
    flags2: Number(features >> 32n),
    unused: Array.from({ length: 11 }, () => 0),
  })
}

function agree(
  body: Uint8Array,
  options: ConnectionOptions = {},
): Connection & { reply: ReturnType<typeof InitOut.readPadded> } {
  const negotiation = negotiate(body, options)
  if (negotiation.kind !== 'agreed') throw new Error(negotiation.kind)
  expect(negotiation.reply).toHaveLength(64)
  const reply = InitOut.readPadded(negotiation.reply)
  return { ...negotiation.connection, reply }
}

const flagsOf = ({ reply }: ReturnType<typeof agree>): bigint => (BigInt(reply.flags2) << 32n) | BigInt(reply.flags)

test('the reply, byte by byte', () => {
  // as the kernel 7.45 asks, and a small answer to it
  const negotiation = negotiate(offer({ features: bits('maxPages', 'initExt') }), { maxBackground: 12 })
  if (negotiation.kind === 'refused') return expect.unreachable()
  expect(Buffer.from(negotiation.reply).toString('hex')).toBe(
    '07000000 2d000000 00000200 00004040 0c00 0900 00001000 01000000 0001 0000'.replaceAll(' ', '') + '00'.repeat(32),
  )
})

describe('versions', () => {
  test('the smaller minor is spoken', () => {
    expect(agree(offer({ minor: 45 })).reply.minor).toBe(45)
    expect(agree(offer({ minor: 31 }))).toMatchObject({ minor: 31, kernelMinor: 31 })
    expect(agree(offer({ minor: 60 }))).toMatchObject({ minor: 45, kernelMinor: 60 })
    expect(agree(offer({ minor: 23 })).minor).toBe(23)
  })

  test('a newer major is told ours, and comes again', () => {
    const negotiation = negotiate(offer({ major: 8, minor: 1 }), {})
    if (negotiation.kind !== 'again') return expect.unreachable()
    expect(InitOut.readPadded(negotiation.reply)).toMatchObject({ major: 7, minor: 45, flags: 0, flags2: 0 })
  })

  test.each([
    [6, 45],
    [0, 0],
    [7, 22],
    [7, 0],
  ])('%i.%i is too old', (major, minor) => {
    const why = `the kernel speaks FUSE ${major}.${minor}; 7.23 is the least`
    expect(negotiate(offer({ major, minor }), {})).toEqual({ kind: 'refused', why })
  })

  test('bodies of any length', () => {
    const whole = offer({ features: bits('maxPages', 'initExt', 'hasResend') })
    expect(agree(whole.subarray(0, 16), { features: ['hasResend'] }).features.has('hasResend')).toBe(false)
    expect(agree(whole.subarray(0, 20), { features: ['hasResend'] }).features.has('hasResend')).toBe(true)
    const longer = new Uint8Array(200)
    longer.set(whole)
    expect(agree(longer).reply).toEqual(agree(whole).reply)
    expect(negotiate(new Uint8Array(0), {}).kind).toBe('refused')
  })
})

describe('features', () => {
  test('a few are always asked for, no others unasked', () => {
    const always: FeatureName[] = ['asyncRead', 'bigWrites', 'maxPages', 'initExt']
    const agreed = agree(offer())
    expect([...agreed.features].sort()).toEqual(always.sort())
    expect(flagsOf(agreed)).toBe(bits(...always))
    expect(agreed.offered.size).toBe(Object.keys(Feature).length)
  })

  test('none that is not offered', () => {
    const wanted = Object.keys(Feature) as FeatureName[]
    expect(flagsOf(agree(offer({ features: 0n }), { features: wanted }))).toBe(0n)
    const some = bits('initExt', 'parallelDirops', 'noOpenSupport', 'passthrough', 'requestTimeout')
    expect(flagsOf(agree(offer({ features: some }), { features: wanted }))).toBe(some)
    expect(flagsOf(agree(offer(), { features: wanted }))).toBe(EVERYTHING)
  })

  test('the upper 32 only if the kernel says that it has them', () => {
    const withoutExtension = EVERYTHING & ~bits('initExt')
    const agreed = agree(offer({ features: withoutExtension }), { features: ['hasResend', 'parallelDirops'] })
    expect(agreed.reply.flags2).toBe(0)
    expect(agreed.offered.has('hasResend')).toBe(false)
    expect(agreed.features.has('parallelDirops')).toBe(true)
  })
})

describe('sizes', () => {
  test.each([
    [undefined, 1 << 20, 256],
    [1 << 20, 1 << 20, 256],
    [4096, 4096, 1],
    [4097, 8192, 2],
    [1, 4096, 1],
    [0, 4096, 1],
    [2 ** 40, 65535 * 4096, 65535],
  ])('greatest write %s: %i bytes, %i pages', (maxWriteBytes, maxWrite, maxPages) => {
    const options = maxWriteBytes === undefined ? {} : { maxWriteBytes }
    expect(agree(offer(), options).reply).toMatchObject({ maxWrite, maxPages })
    expect(maxWriteBytesOf(options)).toBe(maxWrite)
  })

  test('without maxPages: 32 pages, or the fewer that are wanted', () => {
    const features = EVERYTHING & ~bits('maxPages')
    expect(agree(offer({ features })).maxWriteBytes).toBe(32 * 4096)
    expect(agree(offer({ features }), { maxWriteBytes: 8192 }).reply.maxWrite).toBe(8192)
  })

  test('reading ahead: no further than the kernel offers', () => {
    expect(agree(offer()).reply.maxReadahead).toBe(0x20000)
    expect(agree(offer(), { maxReadaheadBytes: 4096 }).reply.maxReadahead).toBe(4096)
    expect(agree(offer(), { maxReadaheadBytes: 1 << 30 }).maxReadaheadBytes).toBe(0x20000)
    expect(agree(offer(), { maxReadaheadBytes: 0 }).reply.maxReadahead).toBe(0)
  })

  test('background requests, and three quarters of them', () => {
    expect(agree(offer()).reply).toMatchObject({ maxBackground: 64, congestionThreshold: 48, timeGranularity: 1 })
    expect(agree(offer(), { maxBackground: 1 }).reply).toMatchObject({ maxBackground: 1, congestionThreshold: 0 })
  })
})

test('the granularity of times', () => {
  expect(agree(offer()).reply.timeGranularity).toBe(1)
  expect(agree(offer(), { timeGranularityNs: 1000 }).reply.timeGranularity).toBe(1000)
})
