import { expect, test } from 'vitest'
import { mountPoint } from './mounts.ts'

test('a server that ends before it has mounted is an error with what it printed', async () => {
  const point = mountPoint({ name: 'none', shows: 'tree', command: () => ['sh', '-c', 'echo no volume >&2; exit 3'] })
  await expect(point.renew()).rejects.toThrow('none ended with 3: no volume')
  await point.unmount()
})

test('a server that is not there is an error too', async () => {
  const point = mountPoint({ name: 'none', shows: 'tree', command: () => ['/no/such/server'] })
  await expect(point.renew()).rejects.toThrow("/no/such/server can't be started")
})
