import { describe, expect, test, vi } from 'vitest'
import { nowMs, RequestTable } from './request-table.ts'

const ROW_BYTES = 64
const table = (rows: number): RequestTable => new RequestTable(new SharedArrayBuffer(rows * ROW_BYTES))

/** A request's header: length, opcode, unique, node, uid, gid, pid. */
function header(opcode: number, unique: number, node = 1): Uint32Array {
  return Uint32Array.of(40, opcode, unique, 0x8000_0000, node, 7, 0xffff_fffe, 5, 4711)
}

describe('rows', () => {
  test('are taken and given back', () => {
    const requests = table(3)
    expect([requests.take(), requests.take(), requests.take(), requests.take()]).toEqual([0, 1, 2, -1])
    requests.free(1)
    expect([requests.take(), requests.take()]).toEqual([1, -1])
  })

  test('are shared by all who have the memory', () => {
    const requests = table(2)
    const others = new RequestTable(requests.memory)
    expect([requests.take(), others.take(), requests.take()]).toEqual([0, 1, -1])
    others.free(0)
    expect(requests.take()).toBe(0)
  })
})

test('what is open, longest waiting first', () => {
  const requests = table(4)
  const [first, second] = [requests.take(), requests.take()]
  expect(requests.list()).toEqual([])
  const startedMs = requests.begin(second, header(15, 0xffff_fffe, 2))
  expect(Math.abs(startedMs - nowMs())).toBeLessThan(10_000)
  while (nowMs() <= startedMs);
  requests.begin(first, header(1, 4))
  requests.defer(second)
  expect(new RequestTable(requests.memory).list()).toEqual([
    {
      operation: 'read',
      unique: '9223372041149743102',
      node: 7 * 2 ** 32 + 2,
      uid: 0xffff_fffe,
      pid: 4711,
      startedMs,
      deferred: true,
      interrupted: false,
    },
    expect.objectContaining({ operation: 'lookup', unique: '9223372036854775812', deferred: false }),
  ])
  requests.end(first)
  requests.free(second)
  expect(requests.list()).toEqual([])
})

test('interrupts find open requests only', () => {
  const requests = table(4)
  const row = requests.take()
  requests.begin(row, header(1, 0xffff_fffe))
  expect(requests.interrupt(0, 0xffff_fffe)).toBe(false)
  expect(requests.interrupt(0x8000_0000, 2)).toBe(false)
  expect([requests.isInterrupted(row), requests.waitForInterrupt(row, 1)]).toEqual([false, false])
  expect(requests.interrupt(0x8000_0000, 0xffff_fffe)).toBe(true)
  expect([requests.isInterrupted(row), requests.waitForInterrupt(row, 60_000)]).toEqual([true, true])
  requests.end(row)
  expect(requests.interrupt(0x8000_0000, 0xffff_fffe)).toBe(false)
  requests.begin(row, header(1, 6))
  expect(requests.isInterrupted(row)).toBe(false)
  requests.free(row)
  expect(requests.interrupt(0x8000_0000, 6)).toBe(false)
})

test('a row is a deferred request as long as this waits', () => {
  const requests = table(2)
  const row = requests.take()
  requests.begin(row, header(1, 0xffff_fffe))
  expect(requests.isDeferred(row, 0x8000_0000, 0xffff_fffe)).toBe(false)
  requests.defer(row)
  expect(requests.isDeferred(row, 0x8000_0000, 0xffff_fffe)).toBe(true)
  expect(requests.isDeferred(row, 0, 0xffff_fffe)).toBe(false)
  requests.free(row)
  expect(requests.isDeferred(row, 0x8000_0000, 0xffff_fffe)).toBe(false)
})

test('an interrupt that comes late is not the next request of the row', () => {
  const requests = table(1)
  const row = requests.take()
  const { compareExchange } = Atomics
  const late = vi.spyOn(Atomics, 'compareExchange')
  const isHeardAfter = (between: () => void): boolean => {
    requests.begin(row, header(1, 4))
    late.mockImplementationOnce((...words: Parameters<typeof compareExchange>) => {
      between() // what another thread does after the request was found
      return compareExchange.call(Atomics, ...words)
    })
    return requests.interrupt(0x8000_0000, 4)
  }
  try {
    const next = (): void => {
      requests.end(row)
      requests.begin(row, header(1, 6))
    }
    expect([isHeardAfter(next), requests.isInterrupted(row)]).toEqual([false, false])
    const other = (): void => void requests.interrupt(0x8000_0000, 4)
    expect([isHeardAfter(other), requests.isInterrupted(row)]).toEqual([true, true])
  } finally {
    late.mockRestore()
  }
})
