// The choices on the shop's page: what a visitor searches for, who they are, and their currency.

const find = selector => document.querySelector(selector);

find('[data-choice="search"]').addEventListener("submit", event => {
  event.preventDefault();
  const element = find('page-fragment[name="search"]');
  element.setAttribute("src", "/fragment/search?" + new URLSearchParams(new FormData(event.target)));
  element.reload();
});

find('[data-choice="cart"]').addEventListener("click", ({ target }) => {
  if (!target.value) return;
  document.cookie = `session=${target.value}; path=/; samesite=lax`;
  find('page-fragment[name="cart"]').reload();
});

// <page-fragment> sends no headers of the page's own; fetch does.
async function showPrice(currency) {
  const response = await fetch("/fragment/price/tea", { headers: { "X-Currency": currency } });
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  find("#price").replaceChildren(template.content);
}

find('[data-choice="price"]').addEventListener("click", ({ target }) => {
  if (target.value) showPrice(target.value);
});
showPrice("EUR");
