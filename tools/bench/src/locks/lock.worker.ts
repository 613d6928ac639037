/** A member of the team that works on one lock. */

import type { SharedPlace } from '@cowherd/shim'
import { serveTeam } from '../threads/member.ts'
import { lockKinds, type LockName, turnKinds, type TurnName } from './kinds.ts'

export type LockTask =
  /** Gives how often the lock was taken. */
  | { readonly task: 'hammer'; readonly kind: LockName; readonly place: SharedPlace; readonly milliseconds: number }
  | {
      readonly task: 'play'
      readonly kind: TurnName
      readonly places: readonly SharedPlace[]
      readonly turn: Int32Array
      readonly me: number
      readonly rounds: number
    }

serveTeam((task: LockTask) => {
  switch (task.task) {
    case 'hammer': {
      const hammer = lockKinds[task.kind].hammer(task.place)
      return () => [hammer(task.milliseconds)]
    }
    case 'play': {
      const play = turnKinds[task.kind].play(task.places, task.turn)
      return () => {
        play(task.me, task.rounds)
        return []
      }
    }
  }
})
