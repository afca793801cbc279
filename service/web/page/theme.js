/** Light or dark: as the system has it, until somebody chooses. */

const KEY = "statecast.theme";
const ORDER = ["auto", "light", "dark"];
const SIGNS = { auto: "◐", light: "☀", dark: "☾" };

export const theme = new EventTarget();

/** Ties the button to the theme; `change` is told to those who draw in colours of their own. */
export function startTheme(button) {
  const chosen = () => (ORDER.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "auto");
  const show = () => {
    const name = chosen();
    document.documentElement.dataset.theme = name;
    button.textContent = SIGNS[name];
    button.setAttribute("aria-label", `Theme: ${name === "auto" ? "as the system has it" : name}`);
    button.title = button.getAttribute("aria-label");
    theme.dispatchEvent(new Event("change"));
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, ORDER[(ORDER.indexOf(chosen()) + 1) % ORDER.length]);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}
