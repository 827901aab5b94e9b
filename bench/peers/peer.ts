/** A server to compare with. Whoever starts it stops it. */
export interface Peer {
  url: string
  stop(): Promise<void>
}
