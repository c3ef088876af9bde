"""The built-in route table: a hosted shop's API, written for this purpose, in the format of a routes file."""

SOURCE = "built-in"

TEXT = r"""
# what anybody may read
GET /
GET /health
GET /health/ready
GET /version
GET /robots.txt
GET /openapi.json
GET /docs
GET /docs/changelog
GET /docs/errors
GET /docs/limits
GET /status
GET /status/history
GET /assets/{path...}
GET /docs/{page}

# who is asking
POST /v1/login
POST /v1/logout
POST /v1/token
POST /v1/token/refresh
POST /v1/password/forgot
POST /v1/password/reset
GET,PATCH /v1/me
GET /v1/me/addresses
POST /v1/me/addresses
GET,PUT,DELETE /v1/me/addresses/{address}
GET /v1/me/sessions
DELETE /v1/me/sessions/{session}
GET,PUT /v1/me/preferences
GET /v1/me/notifications
POST /v1/me/notifications/read
GET,PUT /v1/me/avatar
GET /v1/me/orders
GET /v1/me/wishlist
PUT,DELETE /v1/me/wishlist/{sku}

# the catalog
GET /v1/catalog
GET /v1/catalog/featured
GET /v1/catalog/new
GET /v1/catalog/sale
GET /v1/catalog/search
GET /v1/catalog/suggest
GET /v1/catalog/facets
GET /v1/catalog/filters
GET /v1/catalog/currencies
GET /v1/catalog/languages
GET /v1/brands
GET /v1/brands/popular
GET /v1/brands/{brand}
GET /v1/brands/{brand}/products
GET /v1/categories
GET /v1/categories/tree
GET /v1/categories/popular
GET /v1/categories/{category}
GET /v1/categories/{category}/products
GET /v1/categories/{category}/filters
GET,POST /v1/products
GET /v1/products/export
POST /v1/products/import
GET /v1/products/recent
GET,PATCH,DELETE /v1/products/{sku}
GET,PUT /v1/products/{sku}/stock
GET,PUT /v1/products/{sku}/prices
GET /v1/products/{sku}/related
GET,POST /v1/products/{sku}/images
DELETE /v1/products/{sku}/images/{image}
GET,POST /v1/products/{sku}/reviews
GET /v1/products/{sku}/reviews/summary
GET,DELETE /v1/products/{sku}/reviews/{review}
GET,POST /v1/products/{sku}/variants
GET,PATCH /v1/products/{sku}/variants/{variant}
GET,POST /v1/collections
GET,PATCH,DELETE /v1/collections/{collection}
PUT,DELETE /v1/collections/{collection}/products/{sku}

# the cart and the till
GET,DELETE /v1/cart
POST /v1/cart/items
PATCH,DELETE /v1/cart/items/{item}
POST /v1/cart/coupon
DELETE /v1/cart/coupon
GET /v1/cart/shipping
PUT /v1/cart/shipping
GET /v1/cart/taxes
GET /v1/cart/totals
POST /v1/checkout
GET /v1/checkout/methods
POST /v1/checkout/confirm
GET /v1/checkout/{checkout}
GET,POST /v1/orders
GET /v1/orders/open
GET /v1/orders/late
GET /v1/orders/export
GET /v1/orders/summary
GET,PATCH /v1/orders/{order}
POST /v1/orders/{order}/cancel
GET,POST /v1/orders/{order}/notes
GET,POST /v1/orders/{order}/refunds
GET /v1/orders/{order}/refunds/{refund}
GET,POST /v1/orders/{order}/shipments
GET /v1/orders/{order}/shipments/{shipment}
GET /v1/orders/{order}/shipments/{shipment}/track
GET /v1/orders/{order}/invoice.pdf
GET,POST /v1/returns
GET /v1/returns/reasons
GET,PATCH /v1/returns/{return_id}
GET /v1/payments
GET /v1/payments/failed
GET /v1/payments/methods
GET /v1/payments/{payment}
POST /v1/payments/{payment}/capture
POST /v1/payments/{payment}/void
GET /v1/payouts
GET /v1/payouts/next
GET /v1/payouts/{payout}
GET,POST /v1/coupons
GET /v1/coupons/active
GET,PATCH,DELETE /v1/coupons/{code}
GET,POST /v1/giftcards
GET /v1/giftcards/{code}/balance

# customers
GET,POST /v1/customers
GET /v1/customers/search
GET /v1/customers/segments
GET /v1/customers/export
GET,PATCH,DELETE /v1/customers/{customer}
GET /v1/customers/{customer}/orders
GET,POST /v1/customers/{customer}/notes
GET,PUT /v1/customers/{customer}/tags
GET,POST /v1/customers/{customer}/credits
GET,POST /v1/tickets
GET /v1/tickets/open
GET /v1/tickets/mine
GET,PATCH /v1/tickets/{ticket}
GET,POST /v1/tickets/{ticket}/messages
GET /v1/tickets/{ticket}/messages/{message}

# the store room
GET /v1/inventory
GET /v1/inventory/low
GET /v1/inventory/movements
POST /v1/inventory/adjust
GET,POST /v1/warehouses
GET,PATCH /v1/warehouses/{warehouse}
GET /v1/warehouses/{warehouse}/stock
GET /v1/warehouses/{warehouse}/stock/{sku}
GET,POST /v1/suppliers
GET,PATCH /v1/suppliers/{supplier}
GET,POST /v1/purchases
GET /v1/purchases/open
GET,PATCH /v1/purchases/{purchase}
POST /v1/purchases/{purchase}/receive
GET /v1/carriers
GET /v1/carriers/rates
GET /v1/carriers/{carrier}/services
GET /v1/shipping/zones
GET /v1/shipping/rates
GET /v1/shipping/labels
POST /v1/shipping/labels
GET /v1/shipping/labels/{label}

# figures
GET /v1/reports
GET /v1/reports/sales
GET /v1/reports/sales/daily
GET /v1/reports/sales/weekly
GET /v1/reports/sales/monthly
GET /v1/reports/customers
GET /v1/reports/inventory
GET /v1/reports/taxes
GET /v1/reports/funnel
GET /v1/reports/retention
GET /v1/reports/compare/{left}...{right}
GET /v1/reports/custom/{report}
GET /v1/events
GET /v1/events/stream
GET /v1/metrics
GET /v1/metrics/latency
GET /v1/metrics/errors

# what it is connected to
GET,POST /v1/webhooks
GET /v1/webhooks/events
GET,PATCH,DELETE /v1/webhooks/{webhook}
GET /v1/webhooks/{webhook}/deliveries
POST /v1/webhooks/{webhook}/deliveries/{delivery}/retry
GET,POST /v1/apps
GET,DELETE /v1/apps/{app}
GET /v1/files
POST /v1/files
GET,DELETE /v1/files/{path...}
/v1/proxy/{app}/{path...}

# those who run it
GET /v1/admin
GET,POST /v1/admin/users
GET /v1/admin/users/invited
GET,PATCH,DELETE /v1/admin/users/{user}
GET /v1/admin/roles
GET /v1/admin/audit
GET,PUT /v1/admin/settings
GET,PUT /v1/admin/flags/{flag}
GET,POST /v1/admin/keys
DELETE /v1/admin/keys/{key}
GET /v1/admin/jobs
GET,POST /v1/admin/jobs/{job}
GET /v1/admin/billing
GET /v1/admin/usage

# what older clients still ask for
GET re:^/api/[12]\.\d/(?P<resource>orders|products|customers)$
GET re:^/api/[12]\.\d/(?P<resource>orders|products|customers)/(?P<id>\d{1,9})(?:\.json)?$
re:(?i)^/(?P<lang>en|de|fr|es|it)-[a-z]{2}/(?P<slug>[a-z0-9-]+)\.html$
GET re:^/archive/(?P<year>20\d\d)/(?P<month>0[1-9]|1[0-2])/(?P<slug>[a-z0-9-]+)$
GET re:^/img/(?P<width>\d{2,4})x(?P<height>\d{2,4})/(?P<name>[a-z0-9_]+)\.(?:png|jpe?g|webp)$
re:\.(?:php|aspx?|cgi)$
"""
