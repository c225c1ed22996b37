/** Where an element is with its fragment; "" until it is requested. */
export type FragmentState = "" | "loading" | "loaded" | "failed";

/** The `detail` of all events of an element. */
export interface FragmentDetail {
  name: string;
  /** Missing if there was none. Its status is 0 after a network error. For a fragment that came with
   * the page it has no headers, and the status 200, or 0 for one that failed. */
  response?: Response;
  /** What is shown, or will be: change it before the swap. The element itself, if the document had
   * the content in place. */
  content?: DocumentFragment | PageFragment | null;
  /** The response's HTML, as the server sent it. */
  html?: string | null;
  /** Why it failed. */
  error?: Error | null;
  /** Shows the content: for a listener that takes the swap over. */
  swap?: () => void;
}

export interface FragmentEvent extends CustomEvent<FragmentDetail> {
  readonly target: PageFragment;
}

/** Can be cancelled, or taken over by a listener. */
export interface FragmentSwapEvent extends FragmentEvent {
  /** Prevents the swap. The element waits for the promise, and fails if it is rejected. */
  respondWith(promise: Promise<unknown>): void;
}

/** The element <page-fragment>. Properties are those of the attributes; README explains them. */
export default class PageFragment extends HTMLElement {
  /** Makes HTML of a response trusted; it may sanitize it. null restores the element's own. */
  static set policy(policy: { createHTML(html: string, response: Response): unknown } | null);

  name: string;
  src: string;
  base: string;
  loading: "eager" | "lazy";
  swap: string;
  fetchPriority: "auto" | "high" | "low";
  retries: number;
  timeout: number;
  /** "page": the fragment comes with the document, and is requested only if it does not come. */
  stream: boolean | "page";
  sanitize: boolean;
  shadow: boolean;
  readonly state: FragmentState;

  /** Requests the fragment (again). */
  reload(): Promise<FragmentState>;
}

declare global {
  interface HTMLElementTagNameMap {
    "page-fragment": PageFragment;
  }
  interface GlobalEventHandlersEventMap {
    "fragment:beforeswap": FragmentSwapEvent;
    "fragment:swap": FragmentEvent;
  }
}
