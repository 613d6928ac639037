import { expect, test } from 'vitest'
import { figureOf, measure, ofCalls, ofPrinted, ofProcess } from './measure.ts'
import { ratioToPeer, tableOf } from './row.ts'

test('contenders take turns, the first round does not count, the median does', async () => {
  const order: string[] = []
  const contender = (name: string, samples: number[]) => ({
    name,
    sample() {
      order.push(name)
      return samples.shift() ?? NaN
    },
  })
  const figures = await measure([contender('a', [99, 5, 1, 3]), contender('b', [1, 40, 10, 20])], 3)
  expect(order.join('')).toBe('abababab')
  expect(figures).toEqual([
    { name: 'a', medianNs: 3, leastNs: 1, samples: 3 },
    { name: 'b', medianNs: 20, leastNs: 10, samples: 3 },
  ])
  const spent = [7, 9, 8].map((ns) => ({ ns, processorNs: ns / 2 }))
  expect(figureOf('c', spent)).toEqual({ name: 'c', medianNs: 8, leastNs: 7, samples: 3, processorNs: 4 })
})

test('functions, programs and whole processes', async () => {
  let calls = 0
  expect(ofCalls('count', () => calls++, 1).sample()).toBeGreaterThan(0)
  expect(calls).toBeGreaterThan(1)
  const node = process.execPath
  expect(await ofPrinted('print', node, ['-e', 'console.log(12.5)']).sample()).toBe(12.5)
  let before = 0
  expect(await ofProcess('start', node, ['-e', ''], () => void before++).sample()).toBeGreaterThan(1e6)
  expect(before).toBe(1)
  await expect(ofProcess('fail', node, ['-e', 'process.exit(3)']).sample()).rejects.toThrow('ended with 3')
})

test('the table compares with the peer', () => {
  const figure = (name: string, medianNs: number) => ({ name, medianNs, leastNs: medianNs, samples: 1 })
  const row = { what: 'copy', bytes: 4000, figures: [figure('ours', 2000), figure('theirs', 1000)], peer: 'theirs' }
  expect(row.figures.map((each) => ratioToPeer(row, each))).toEqual([0.5, 1])
  expect(tableOf([row])).toBe(
    [
      'work  by               takes      per s  MB/s  of peer  of best',
      'copy  ours           2.00 us    500,000  2000   0.50 x   0.50 x',
      '      theirs (peer)  1.00 us  1,000,000  4000   1.00 x   1.00 x',
    ].join('\n'),
  )
  expect(tableOf([{ ...row, note: 'on tape' }])).toMatch(/1\.00 x\n\ncopy: on tape$/)
  const sizes = [
    { name: 'ours', bytes: 2 ** 20 },
    { name: 'theirs', bytes: 2 ** 21 },
  ]
  expect(tableOf([{ what: 'keep', sizes, peer: 'theirs' }])).toBe(
    [
      'work  by               takes  of peer  of best',
      'keep  ours           1.0 MiB   2.00 x   1.00 x',
      '      theirs (peer)  2.0 MiB   1.00 x   0.50 x',
    ].join('\n'),
  )
})
