import { expect, test } from 'vitest'
import { measureCourse, type Stand } from './course.ts'
import { childrenNs, processNs } from './processor.ts'
import { run } from './run.ts'

/** A stand that notes what happens to it. */
function noting(name: string, notes: string[]): Stand {
  const note = (what: string) => {
    notes.push(`${name} ${what}`)
    return Promise.resolve()
  }
  return {
    name,
    begin: () => note('begins').then(() => `/${name}`),
    renew: () => note('is renewed'),
    end: () => note('ends'),
  }
}

test('each contender goes the whole course, one after another, round after round', async () => {
  const notes: string[] = []
  let ns = 0
  const work = (what: string) => (directory: string) => {
    notes.push(`${what} in ${directory}`)
    return Promise.resolve(++ns)
  }
  const steps = [
    { what: 'make', work: work('make') },
    { what: 'read', work: work('read'), isCold: true, bytes: 7 },
  ]
  const rows = await measureCourse([noting('a', notes), noting('b', notes)], steps, 3, 'b')
  const first = ['a begins', 'make in /a', 'a is renewed', 'read in /a', 'a ends']
  const second = ['b begins', 'make in /b', 'b is renewed', 'read in /b', 'b ends']
  expect(notes).toEqual([...first, ...second, ...first, ...second, ...first, ...second])
  const processorNs: unknown = expect.any(Number)
  const figure = (name: string, medianNs: number) => ({
    name,
    medianNs,
    leastNs: medianNs - 4,
    samples: 3,
    processorNs,
  })
  expect(rows).toEqual([
    { what: 'make', peer: 'b', figures: [figure('a', 5), figure('b', 7)] },
    { what: 'read', peer: 'b', figures: [figure('a', 6), figure('b', 8)], bytes: 7 },
  ])
})

test('processes tell the processor time that they took', async () => {
  const before = childrenNs()
  const burn = 'const end = performance.now() + 100; while (performance.now() < end);'
  await run(process.execPath, ['-e', burn])
  expect(childrenNs() - before).toBeGreaterThan(0)
  expect(processNs(process.pid)).toBeGreaterThan(1e6)
})

test('who is unable to do a step is left out of its row', async () => {
  const steps = [{ what: 'make', work: () => Promise.resolve(1), unable: ['a'] }]
  const [row] = await measureCourse([noting('a', []), noting('b', [])], steps, 1, 'a')
  expect([row.peer, ...row.figures.map(({ name }) => name)]).toEqual(['b', 'b'])
})

test('a step that fails ends the course, and what was mounted is gone', async () => {
  const notes: string[] = []
  const fails = { what: 'fail', work: () => Promise.reject(new Error('no room')) }
  await expect(measureCourse([noting('a', notes)], [fails], 1, 'a')).rejects.toThrow('no room')
  expect(notes).toEqual(['a begins', 'a ends'])
})
