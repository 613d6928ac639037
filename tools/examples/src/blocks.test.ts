import { expect, test } from 'vitest'
import { blocksOf } from './blocks.ts'

test('finds blocks, and what they print', () => {
  const fence = '```'
  const markdown = `# x\n${fence}ts\na\nb\n${fence}\n\n${fence}text\nout\n${fence}\nwords\n${fence}sh\nc\n${fence}\nmore\n${fence}text\nno\n${fence}\n`
  expect(blocksOf(markdown)).toEqual([
    { language: 'ts', text: 'a\nb\n', line: 2, prints: 'out\n' },
    { language: 'text', text: 'out\n', line: 7, prints: undefined },
    { language: 'sh', text: 'c\n', line: 11, prints: undefined },
    { language: 'text', text: 'no\n', line: 15, prints: undefined },
  ])
})

test('sees a block without an end', () => {
  expect(() => blocksOf('```ts\nx\n')).toThrow('line 1')
})
